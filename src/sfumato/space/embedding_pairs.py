"""Two image embeddings at once, for a decoder that is told what a picture is not to be like."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from sfumato.space.vector import Vector


class EmbeddingPairs(Vector):
    """The embeddings of the prompt and of the negative prompt side by side, x (B, 2 width, 1, 1). `decode` gives
    (B, 3 width): both, and that of `nothing`, which stands in where a recipe has no negative prompt.

    mean, std (1, width): of either. nothing: () -> (1, width), asked for once.
    """

    def __init__(self, width: int, mean: Tensor, std: Tensor, nothing: Callable[[], Tensor]) -> None:
        super().__init__(2 * width, mean.repeat(1, 2), std.repeat(1, 2))
        self.nothing = nothing

    def decode(self, x: Tensor) -> Tensor:
        pair = super().decode(x)
        return torch.cat([pair, self._nothing.to(pair).expand(len(pair), -1)], 1)

    @cached_property
    def _nothing(self) -> Tensor:
        return self.nothing()
