"""Between two pictures: both brought to one time and mixed there (Ho et al. 2020, section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from sfumato.edit.ddim_inversion import Inversion
from sfumato.edit.sdedit import NoisedStart
from sfumato.edit.start import BoundStart, Start, Times
from sfumato.element import Kept, Real, Whole, element, one_of
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.sample.step import Denoise

Mix = Callable[[Tensor, Tensor, float], Tensor]

WAYS = ("inverted", "noised")


@element("between")
class Between(Start):
    """Start between `picture` (`weight` 0) and `other` (1), both brought to t0 = `strength` and mixed there.

    `way` "inverted" inverts both and mixes on the sphere, so that at the ends they come back; "noised" adds the same
    noise to both and mixes straight (Ho et al. 2020). `refine` as in `Inverted`.
    """

    picture: Kept = Field(description="a picture: a path, bytes, a PIL image, an array or a Ref")
    other: Kept = Field(description="a picture: a path, bytes, a PIL image, an array or a Ref")
    weight: Real = Field(default=0.5, ge=0, le=1, description="a number from 0 (the first) to 1 (the other)")
    strength: Real = Field(default=0.6, gt=0, le=1, description="a number above 0 (a cross-fade) and up to 1")
    way: Annotated[str, one_of(WAYS)] = Field(default="inverted", description=" or ".join(WAYS))
    refine: Whole = Field(default=2, ge=0, le=100, description="a whole number from 0 (plain DDIM inversion) to 100")

    def bind(self, batch: Any) -> MixedStart:
        x, y = (batch.encoded(batch.images[name]) for name in ("start", "other"))
        if self.way == "noised":
            return MixedStart(NoisedStart(x, self.strength), NoisedStart(y, self.strength), self.weight, lerp)
        first, second = (Inversion(batch.shown(), z, batch.times, self.strength, self.refine) for z in (x, y))
        return MixedStart(first, second, self.weight, slerp)


def lerp(a: Tensor, b: Tensor, place: float) -> Tensor:
    """(1 - place) a + place b. Of two independent noises it has (1 - place)^2 + place^2 of their variance: half of it
    midway."""
    return torch.lerp(a, b, place)


def slerp(a: Tensor, b: Tensor, place: float) -> Tensor:
    """sin((1 - place) angle)/sin(angle) a + sin(place angle)/sin(angle) b, of the angle between a and b, row by row.

    Shoemake 1985; Song, Meng & Ermon 2021, eq. 67. a, b (B, ...). It keeps the length where both have the same; nearly
    parallel rows are interpolated straight.
    """
    axes = tuple(range(1, a.ndim))
    lengths = (a.square().sum(axes, keepdim=True) * b.square().sum(axes, keepdim=True)).sqrt().clamp(min=1e-30)
    angle = torch.arccos(((a * b).sum(axes, keepdim=True) / lengths).clamp(-1, 1)).double()
    first, second = (torch.sin(share * angle) / torch.sin(angle) for share in (1 - place, place))
    return torch.where(angle < 1e-4, lerp(a, b, place), first.to(a) * a + second.to(a) * b)


@dataclass(frozen=True, eq=False)
class MixedStart(BoundStart):
    """A start between two: mix(x, y, weight) of where `first` and `second` begin; both have the same grid.

    weight 0 is the first to the bit, 1 the second. `lerp` suits starts that share their noise, as `NoisedStart` does
    under one seed: mixed straight it keeps its size. `slerp` suits `Inversion`s, whose noises are their own.
    """

    first: BoundStart
    second: BoundStart
    weight: float = 0.5
    mix: Mix = slerp

    @property
    def calls(self) -> int:  # type: ignore[override]
        return self.first.calls + self.second.calls

    def prepare(self) -> Iterator[Tensor | None]:
        yield from self.first.prepare()
        yield from self.second.prepare()

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        (x, grid), (y, _) = (start(denoise, times, noise) for start in (self.first, self.second))
        return self.mix(x, y, self.weight), grid
