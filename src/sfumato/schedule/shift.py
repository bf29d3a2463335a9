"""The shift for larger pictures: the same process, with more noise at every t."""

from __future__ import annotations

from dataclasses import dataclass

from sfumato.lazy import Tensor
from sfumato.picture import BadInput
from sfumato.schedule.base import Schedule, double
from sfumato.schedule.discrete import Discrete


@dataclass(frozen=True)
class Shifted:
    """`schedule` walked faster: at t it stands where its kappa is `factor` kappa(t). Make one with `shifted`."""

    schedule: Schedule
    factor: float

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.schedule(t)
        return self.schedule(self.schedule.time(self.factor * sigma / alpha))

    def time(self, kappa: Tensor | float) -> Tensor:
        return self.schedule.time(double(kappa) / self.factor)

    @property
    def last(self) -> float:
        return self.schedule.last


def shifted(schedule: Schedule, factor: float) -> Schedule:
    """The schedule with kappa = sigma/alpha multiplied by `factor`: log-SNR moved by -2 log(factor).

    Averaging k x k pixels divides the noise's standard deviation by k and leaves what a picture shows, so that a
    picture k times as wide and high keeps its signal-to-noise ratio with factor = k (Hoogeboom et al. 2023, "simple
    diffusion", eq. 4: k = d/64; Esser et al. 2024, eq. 23: sqrt(m/n) for m and n pixels). alpha and sigma stay on
    the schedule's own curve: a variance-preserving one stays so, and `shifted(Flow(), k)` is `Flow(shift=k)`. Of a
    `Discrete` one every knot is moved, and the result is discrete again. factor = 1 changes nothing.

    Raises BadInput unless factor > 0.
    """
    if not factor > 0:
        raise BadInput(f"A schedule's shift is a factor above 0 (1 changes nothing), not {factor}.")
    if factor == 1:
        return schedule
    return schedule.shifted(factor) if isinstance(schedule, Discrete) else Shifted(schedule, factor)
