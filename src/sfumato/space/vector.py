"""Vectors, as the embeddings of pictures that a prior makes."""

from __future__ import annotations

from torch import Tensor

from sfumato.picture import BadInput
from sfumato.space import Space, refuse_nan


class Vector(Space):
    """Vectors of `width` numbers, one a row: x is (B, width, 1, 1), and decoded it is (B, width).

    Nothing is seen of them: they are for the stage that comes after (Ramesh et al. 2022, section 2.2: a prior makes a
    picture's CLIP embedding of a caption, and a decoder the picture). mean, std: of what its stage was trained on,
    where that was at zero mean and unit variance: vector = x std + mean.
    """

    factor = 1
    paints = False

    def __init__(self, width: int, mean: Tensor | None = None, std: Tensor | None = None) -> None:
        self.channels, self.mean, self.std = width, mean, std

    def encode(self, pictures: Tensor) -> Tensor:
        raise BadInput("This model makes embeddings and paints no pictures: it starts from noise alone.")

    def decode(self, x: Tensor) -> Tensor:
        vectors = refuse_nan(x, "prior").flatten(1)
        scaled = vectors if self.std is None else vectors * self.std.to(vectors)
        return scaled if self.mean is None else scaled + self.mean.to(vectors)

    def cells(self, size: tuple[int, int]) -> tuple[int, int]:
        return 1, 1
