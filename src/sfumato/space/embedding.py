"""CLIP's image embeddings, as priors diffuse them (Ramesh et al. 2022, section 2.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sfumato.network.offload import at_hand
from sfumato.space import refuse_nan
from sfumato.space.vector import Vector


class Embedding(Vector):
    """Embeddings at zero mean and unit variance, number by number: decode(x) = x std + mean, of a `PriorTransformer`."""

    def __init__(self, prior: Any) -> None:
        super().__init__(int(prior.config["embedding_dim"]))
        with at_hand(prior):
            self.mean, self.std = (a.detach().float().clone() for a in (prior.clip_mean, prior.clip_std))

    def decode(self, x: Tensor) -> Tensor:
        return self.unscaled(super().decode(x))

    def unscaled(self, x: Tensor) -> Tensor:
        """(N, width), as CLIP has it."""
        return refuse_nan(x, "network (prior)").float() * self.std.to(x.device) + self.mean.to(x.device)


class EmbeddingPairs(Embedding):
    """Two embeddings side by side, (B, 2 width, 1, 1): that of the prompt and that of the negative prompt. `decode`
    gives (B, 3 width): both, and that of `nothing`, which stands in where a recipe has no negative prompt.

    nothing: () -> (1, width), asked for once.
    """

    def __init__(self, prior: Any, nothing: Callable[[], Tensor]) -> None:
        super().__init__(prior)
        self.width, self.channels, self.nothing = self.channels, 2 * self.channels, nothing

    def decode(self, x: Tensor) -> Tensor:
        said, unsaid = (self.unscaled(half) for half in x[:, :, 0, 0].split(self.width, 1))
        return torch.cat([said, unsaid, self._nothing.to(said).expand_as(said)], 1)

    @cached_property
    def _nothing(self) -> Tensor:
        return self.nothing()
