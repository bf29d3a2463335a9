"""What lies outside a mask is held: imputation, RePaint, Blended Latent Diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from sfumato.edit.hold import BoundHold, Hold, blend
from sfumato.edit.mask_shape import feather, grow, shrinking
from sfumato.edit.repaint import Resample
from sfumato.edit.start import BoundStart
from sfumato.element import Kept, KeptMask, Real, element
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput, Ref, fetch
from sfumato.schedule import Schedule, noised

_PICTURE = "a picture: a path, bytes, a PIL image, an array or a Ref"


@element("outside")
class Outside(Hold):
    """Hold what lies outside the mask to `picture`, noised to the same time (white = repaint, black = hold).

    `picture` None means the start's picture. The mask must have the picture's size; greys are soft edges. The mask is
    grown by `grow` pixels of the picture (shrunk where that is negative), then given a Gaussian edge that ends
    `feather` pixels farther out. `dilation`: by how many pixels it is dilated where all is noise, to shrink to itself
    as the noise falls, which gives thin masks room (Avrahami et al. 2023).
    """

    mask: KeptMask = Field(description=_PICTURE)
    picture: Kept | None = Field(default=None, description=_PICTURE)
    grow: Real = Field(default=0.0, ge=-4096, le=4096, description="a number of pixels, negative to shrink the mask")
    feather: Real = Field(default=0.0, ge=0, le=1024, description="a number of pixels from 0 (a hard edge) to 1024")
    dilation: Real = Field(default=0.0, ge=0, le=1024, description="a number of pixels from 0 to 1024")
    resample: Resample | None = Field(default=None, description="Resample(length, repeats), or nothing")

    def shaped(self) -> Image.Image:
        """The mask (mode L) at its own size, grown and feathered."""
        return _shaped(self.mask, self.grow, self.feather)

    def bind(self, batch: Any, start: BoundStart) -> BoundHold | None:
        if not batch.stage.capabilities.inpaints:
            hold = Imputation(batch.cells(batch.mask), dilation=batch.in_cells(self.dilation))
            return hold.bind(batch.encoded(batch.images["held"]), batch.schedule)
        if self.dilation:
            raise BadInput(
                "This model is shown the mask and nothing is held to it on the way, so that dilation says nothing; "
                "leave it out, or grow the mask."
            )
        return None


@lru_cache(maxsize=2)
def _shaped(mask: Ref, by: float, radius: float) -> Image.Image:
    """Once a mask: what asks for it (the box around it, a remark, the run) asks one after the other."""
    own = fetch(mask).convert("L")
    if by == 0 and radius == 0:
        return own
    values = torch.from_numpy(np.array(own)).float()
    changed = 255 * feather(grow(values / 255, by), radius)
    return Image.fromarray(changed.round().to(torch.uint8).numpy())


@dataclass(frozen=True, eq=False)
class Imputation:
    """Outside the mask, the picture noised to s: x <- m x + (1 - m) (alpha_s keep + sigma_s z).

    Song et al. 2021, appendix I.2 (imputation); with `times.jumps` it is RePaint (Lugmayr et al. 2022, eq. 8), on
    latents Blended Latent Diffusion (Avrahami et al. 2023). mask (1 or B, 1, H, W), or any shape that broadcasts to x,
    in [0, 1], 1 = repaint; soft masks blend. keep (1 or B, ...) is the picture to hold, the start's own if None.
    dilation: by how many cells the mask is dilated at s = 1, to shrink to itself as s falls (`shrinking`).

    Where the mask is 1, x is left to the bit; where it is 0, the result at s = 0 is `keep` to the bit.
    """

    mask: Tensor
    keep: Tensor | None = None
    dilation: float = 0.0

    def __post_init__(self) -> None:
        if not bool(((self.mask >= 0) & (self.mask <= 1)).all()):
            raise BadInput("A mask lies between 0 (kept) and 1 (repainted).")

    def bind(self, picture: Tensor, schedule: Schedule) -> BoundHold:
        """The hold to `picture` (1 or B, ...) under a schedule."""
        keep = picture if self.keep is None else self.keep

        def hold(x: Tensor, s: Tensor, noise: NoiseSource) -> Tensor:
            kept = keep.to(device=x.device, dtype=x.dtype).expand_as(x)
            if s > 0:
                kept = noised(schedule, kept, s, noise(x))
            return blend(shrinking(self.mask, self.dilation, float(s)), x, kept)

        return BoundHold(hold)
