"""How far away things are in a picture, as a plane beside the noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from sfumato.condition import Concat
from sfumato.encode.encoder import Asked, Encoder
from sfumato.encode.reference_planes import at_size
from sfumato.picture import BadInput
from sfumato.recipe.capabilities import Capabilities


class DepthPlane(Encoder):
    """The inverse depth of a picture (near is bright), as an estimator sees it, in cells and from -1 to 1.

    The picture is the first reference picture, else the one that is started from or held. A second reference picture is
    its depth itself, and nothing is estimated.
    processor: PIL pictures -> what the estimator sees. run: that, as `pixels` (N, 3, h, w) -> depth (N, h', w').
    """

    tells = Capabilities(references=2)

    def __init__(self, factor: int, processor: Callable[..., Any], run: Callable[..., Tensor]) -> None:
        self.factor, self.processor, self.run = factor, processor, run

    def __call__(self, batch: Asked) -> Concat:
        width, height = batch.size
        plane = levelled(self._depth(batch), (height // self.factor, width // self.factor))
        return Concat(plane.expand(len(batch.recipes), -1, -1, -1))

    @torch.no_grad()
    def _depth(self, batch: Asked) -> Tensor:
        """(1, h, w)."""
        if len(batch.references) > 1:
            return depth_of(at_size(batch.references[1], batch.size))
        shown = [*batch.references, batch.images.get("start"), batch.images.get("held")]
        picture = next((image for image in shown if image is not None), None)
        if picture is None:
            raise BadInput(
                "This model is told how far away things are: start from a picture, or give the recipe a reference "
                "picture, and its depth as a second one if you have it."
            )
        seen = self.processor(images=at_size(picture, batch.size).convert("RGB"), return_tensors="pt").pixel_values
        return self.run(pixels=seen).float().cpu()


def depth_of(image: Image.Image) -> Tensor:
    """A picture of depth as numbers, (1, H, W)."""
    from sfumato.space.pixels import mask_to_tensor

    return mask_to_tensor(image)[0]


def levelled(depth: Tensor, size: tuple[int, int]) -> Tensor:
    """Depth (1, h, w) -> (1, 1, *size), bicubic, its least value -1 and its greatest 1; zeros where all is as far."""
    plane = interpolate(depth[:, None], size=size, mode="bicubic", align_corners=False)
    low, high = plane.amin(), plane.amax()
    return 2 * (plane - low) / (high - low) - 1 if bool(high > low) else torch.zeros_like(plane)
