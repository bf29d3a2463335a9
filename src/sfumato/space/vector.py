"""A space of vectors, as the image embeddings that a prior draws: nothing of it is painted."""

from __future__ import annotations

from torch import Tensor


class Vector:
    """Vectors of `width` numbers, diffused as x (B, width, 1, 1). `decode` gives (B, width)."""

    factor = 1
    paints = False

    def __init__(self, width: int) -> None:
        self.channels = width

    def cells(self, size: tuple[int, int]) -> tuple[int, int]:
        """The height and width of x, whatever the size of the picture."""
        return 1, 1

    def encode(self, pictures: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, x: Tensor) -> Tensor:
        return x[:, :, 0, 0]
