"""A hold of what is coarse: the low frequencies of a reference, whatever is fine left free (ILVR, Choi et al. 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from sfumato.edit.hold import BoundHold, Hold
from sfumato.edit.start import BoundStart
from sfumato.element import Kept, Real, element
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.schedule import Schedule, noised


@element("low-pass")
class LowPass(Hold):
    """Hold the low frequencies of `picture` (None: the start's), those that survive scaling down by `factor` (ILVR,
    Choi et al. 2021), down to the time `until`. What is finer is free."""

    factor: Real = Field(default=4.0, ge=1, le=1024, description="a number from 1 (all of it) to 1024")
    until: Real = Field(default=0.0, ge=0, le=1, description="a time from 0 (to the end) to 1")
    picture: Kept | None = Field(default=None, description="a picture: a path, bytes, a PIL image, an array or a Ref")

    def bind(self, batch: Any, start: BoundStart) -> BoundHold:
        return ILVR(self.factor, self.until).bind(batch.encoded(batch.images["held"]), batch.schedule)


@dataclass(frozen=True, eq=False)
class ILVR:
    """x <- x - phi(x) + phi(y_s), with y_s the reference noised to s: Choi et al. 2021, eq. 8, in every space.

    phi is down- and upsampling by `factor` N (1 or more): the orthogonal projection on the cosines of the lowest H/N
    and W/N frequencies, so that phi(phi(x)) = phi(x) and the low frequencies are the reference's to rounding; with
    bicubic resampling, as in the paper's code, they only come near. N = 1 is the reference itself, to the bit; as N
    grows no more than the mean of each channel is held. `until`: below that time nothing is held, and details may
    move colours again. keep (1 or B, ...) is the reference, the start's picture if None.
    """

    factor: float = 4.0
    until: float = 0.0
    keep: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.factor >= 1:
            raise BadInput(f"The factor of a low-pass hold is 1 or more, not {self.factor}.")
        if not 0 <= self.until <= 1:
            raise BadInput(f"A low-pass hold ends at a time between 0 and 1, not {self.until}.")

    def bind(self, picture: Tensor, schedule: Schedule) -> BoundHold:
        """The hold to `picture` (1 or B, ...) under a schedule."""
        keep = picture if self.keep is None else self.keep

        def hold(x: Tensor, s: Tensor, noise: NoiseSource) -> Tensor:
            if s < self.until:
                return x
            y = keep.to(device=x.device, dtype=x.dtype).expand_as(x)
            if s > 0:
                y = noised(schedule, y, s, noise(x))
            apart = x - y
            return y + (apart - low_pass(apart, self.factor))

        return BoundHold(hold)


def low_pass(x: Tensor, factor: float) -> Tensor:
    """phi(x): the cosines of x (..., H, W) below H/factor and W/factor, at least the mean."""
    down, across = (_projection(side, factor).to(x) for side in x.shape[-2:])
    return down @ x @ across


def _projection(side: int, factor: float) -> Tensor:
    """C' C with C the first side/factor rows of the orthonormal DCT-II, (side, side) float64."""
    place = torch.arange(side, dtype=torch.float64) + 0.5
    dropped = torch.arange(max(round(side / factor), 1), side, dtype=torch.float64)
    C = torch.cos(math.pi / side * dropped[:, None] * place) * math.sqrt(2 / side)
    return torch.eye(side, dtype=torch.float64) - C.T @ C
