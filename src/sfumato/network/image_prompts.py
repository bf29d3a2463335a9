"""Pictures in cross-attention: keys and values of their own beside the text's (Ye et al. 2023, IP-Adapter, eq. 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sfumato.condition import Condition, ImagePrompts
from sfumato.network.attention_directives import Change
from sfumato.network.attention_maps import attended, entered
from sfumato.network.offload import at_hand
from sfumato.network.quantized import plain
from sfumato.network.residuals import at_places


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """What a picture is to each module of cross-attention that looks at it.

    tokens, empty (1, L, D): the picture's, and those of no picture. layers: (W_K, W_V) of modules by their names. mask
    (1, 1, H, W) in [0, 1]: the places that look at it.
    """

    tokens: Tensor
    empty: Tensor
    layers: Mapping[str, tuple[Tensor, Tensor]]
    mask: Tensor | None = None

    def __call__(self, name: str, module: Any, hidden: Tensor, empty: Tensor) -> Tensor:
        """What the module called `name` adds to its answer for `hidden` (R, N, C): Attn(Q, K', V') W_out, without bias.

        empty (R,), bool: the rows that look at no picture.
        """
        tokens = torch.where(empty[:, None, None].to(hidden.device), self.empty, self.tokens)
        keys, values = (functional.linear(tokens, weight) for weight in self.layers[name])
        q, k, v = (
            a.unflatten(-1, (module.heads, -1)).transpose(1, 2) for a in (self._query(module, hidden), keys, values)
        )
        inner = attended((q.float() @ k.float().transpose(-1, -2) * module.scale).softmax(-1), v)
        with at_hand(module.to_out[0]):
            out = functional.linear(inner, plain(module.to_out[0].weight).to(inner)) / module.rescale_output_factor
        return out if self.mask is None else out * at_places(self.mask, out.shape[1]).to(out)

    def _query(self, module: Any, hidden: Tensor) -> Tensor:
        q = module.to_q(entered(module, hidden))
        return q if module.norm_q is None else module.norm_q(q)


@dataclass(frozen=True, eq=False)
class Looking:
    """Who looks at a picture in one call of a transformer.

    rows (R,): the rows that do. weight (R,). empty (R,), bool: those of them that look at no picture. t (R,): the
    network's own time. pictured: how many of its tokens of pictures, the first, are those of x.
    """

    rows: Tensor
    weight: Tensor
    empty: Tensor
    t: Tensor
    pictured: int

    def seen(self, picture: Tensor, none: Tensor) -> Tensor:
        """The picture's tokens (R, L, D), those of no picture where it is looked at."""
        return torch.where(self.empty[:, None, None], none, picture)

    def weighed(self, found: Tensor, mask: Tensor | None) -> Tensor:
        """What was found (R, N, C) by its weight, within the mask."""
        scaled = found * self.weight.to(found)[:, None, None]
        return scaled if mask is None else scaled * at_places(mask, found.shape[1], self.pictured).to(found)


def prompted(network: Any, condition: Condition, t: Tensor, pictured: int) -> list[tuple[Any, Change]]:
    """What the image prompts of a condition change in a transformer: `changes(network, looking)` of each."""
    part, found = condition.get(ImagePrompts), []
    for k, thing in enumerate(part.things if part is not None else ()):
        assert part is not None
        weight = part.weight[:, k].to(t.device)
        rows = weight.nonzero()[:, 0]
        if len(rows):
            empty = part.empty.to(t.device)[rows]
            found += thing.changes(network, Looking(rows, weight[rows], empty, t[rows], pictured))
    return found
