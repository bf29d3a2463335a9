"""Between two pictures: both brought to one time and mixed there (Ho et al. 2020, section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sfumato.edit.start import Preparing, Start, Times
from sfumato.noise import NoiseSource
from sfumato.sample.step import Denoise

Mix = Callable[[Tensor, Tensor, float], Tensor]


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
class Between:
    """A start between two: mix(x, y, weight) of where `first` and `second` begin; both have the same grid.

    weight 0 is the first to the bit, 1 the second. `lerp` suits starts that share their noise, as `SDEdit` does under
    one seed: mixed straight it keeps its size. `slerp` suits `Inverted` ones, whose noises are their own.
    """

    first: Start
    second: Start
    weight: float = 0.5
    mix: Mix = slerp

    @property
    def calls(self) -> int:
        return sum(part.calls for part in self._preparing())

    def prepare(self) -> Iterator[None]:
        for part in self._preparing():
            yield from part.prepare()

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        (x, grid), (y, _) = (start(denoise, times, noise) for start in (self.first, self.second))
        return self.mix(x, y, self.weight), grid

    def _preparing(self) -> list[Preparing]:
        return [part for part in (self.first, self.second) if isinstance(part, Preparing)]
