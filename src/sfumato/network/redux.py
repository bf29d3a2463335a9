"""FLUX.1 Redux (Black Forest Labs 2024): a picture as further words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from sfumato.condition import Condition, ImagePrompts


class ReduxImageEncoder(nn.Module):
    """FLUX.1 Redux's layers (Black Forest Labs 2024): a SigLIP's states (B, N, D) as words (B, N, W),
    W_down silu(W_up s); with the names of diffusers' weights."""

    def __init__(self, redux_dim: int = 1152, txt_in_features: int = 4096) -> None:
        super().__init__()
        self.redux_up = nn.Linear(redux_dim, 3 * txt_in_features)
        self.redux_down = nn.Linear(3 * txt_in_features, txt_in_features)

    def forward(self, states: Tensor) -> Tensor:
        return self.redux_down(silu(self.redux_up(states)))


@dataclass(frozen=True, eq=False)
class ReduxWords:
    """Words (1, N, W) that a picture is to FLUX.1, behind those of the text, times the weight. Unconditional rows read
    the text alone."""

    words: Tensor

    def changes(self, network: Any, looking: Any) -> list[Any]:
        """None: they are read as words are."""
        return []


def with_words(text: Tensor, condition: Condition) -> Tensor:
    """The text (B, L, W) and behind it the words of the condition's pictures; the rows must be `alike`."""
    [weights] = {*_weights(condition)}
    words = [weight * thing.words.to(text) for weight, thing in zip(weights, _things(condition), strict=True) if weight]
    return torch.cat([text, *(each.expand(len(text), -1, -1) for each in words)], 1)


def alike(condition: Condition) -> list[Tensor]:
    """The rows that read the same words of pictures, together."""
    found: dict[tuple[float, ...], list[int]] = {}
    for row, weights in enumerate(_weights(condition)):
        found.setdefault(weights, []).append(row)
    return [torch.tensor(rows) for rows in found.values()]


def _things(condition: Condition) -> list[ReduxWords]:
    part = condition.get(ImagePrompts)
    return [] if part is None else [thing for thing in part.things if isinstance(thing, ReduxWords)]


def _weights(condition: Condition) -> list[tuple[float, ...]]:
    """The weights of those words in each row, 0 where they are not read."""
    part = condition.get(ImagePrompts)
    if part is None or not _things(condition):
        return [()] * condition.rows
    which = [k for k, thing in enumerate(part.things) if isinstance(thing, ReduxWords)]
    read = part.weight[:, which] * ~part.empty[:, None]
    return [tuple(row) for row in read.tolist()]
