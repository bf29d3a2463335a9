"""Background reconstruction: latents or the decoder's weights moved until the decoded picture keeps the original.

An autoencoder's decoder alters the whole picture, also what a mask holds. Pasting the original back shows where it was
pasted; these two make the decoded picture itself agree with the original outside the mask (Avrahami, Fried &
Lischinski 2023, section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from PIL import Image

from sfumato.edit.composite import Composite, Pictures, each_within
from sfumato.edit.paste import paste
from sfumato.lazy import Tensor, torch

STEPS = 75
Decode = Callable[[Tensor], Tensor]


class Reconstruction(Composite):
    """Pasted after latents or weights were moved, one picture after the other."""

    steps = STEPS
    needs_latents = True

    def moved(self, space: Any, z: Tensor, original: Tensor, mask: Tensor) -> Iterator[Tensor]:
        """`steps` pictures on the way, and the last: z (1, C, h, w), original (1, 3, H, W), mask (1, 1, H, W)."""
        raise NotImplementedError

    def apply(
        self, batch: Any, masks: Sequence[Image.Image], x: Tensor | None, pictures: Pictures
    ) -> Iterator[Pictures]:
        if x is not None and masks and batch.original is not None:
            original, pictures = batch.tensor(batch.original), list(pictures)
            for row, (z, mask) in enumerate(zip(x.float().split(1), masks, strict=True)):
                for index, drawn in enumerate(self.moved(batch.stage.space, z, original, batch.mask_tensor(mask))):
                    pictures[row] = batch.pictures_of(drawn)[0]
                    if index < self.steps:
                        yield pictures
        yield each_within(batch.original, masks, pictures, paste)


def descent(
    draw: Callable[[], Tensor],
    moved: Sequence[Tensor],
    wanted: Tensor,
    original: Tensor,
    mask: Tensor,
    steps: int,
    rate: float,
    background: float,
) -> Iterator[Tensor]:
    """Adam on |m (D - wanted)|^2 + background |(1 - m)(D - original)|^2 over `moved`; yields D before each step, then
    the last."""
    adam = torch.optim.Adam(moved, rate)
    for _ in range(steps):
        with torch.enable_grad():
            drawn = draw()
            inside, outside = mask * (drawn - wanted), (1 - mask) * (drawn - original)
            loss = inside.square().mean() + background * outside.square().mean()
        for tensor, gradient in zip(moved, torch.autograd.grad(loss, moved), strict=True):
            tensor.grad = gradient
        adam.step()
        yield drawn.detach()
    with torch.no_grad():
        yield draw()
