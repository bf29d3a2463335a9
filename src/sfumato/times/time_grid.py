"""What a time grid is."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from sfumato.element import Element
from sfumato.lazy import Tensor, torch
from sfumato.picture.errors import BadInput
from sfumato.schedule import Schedule


class TimeGrid(Element, kinds="time grid", package="sfumato.times"):
    """One way to space the knots that a sampler visits, as a value: `grid(20, schedule)`.

    Answers steps + 1 times from `start` (1 is pure noise) down to 0, float64. Which spacing is best depends on the
    sampler and on how the model was trained: models say their own, and `times=` of a recipe takes another.
    """

    rises: bool | ClassVar[bool] = False
    """Whether its knots go back up, where the loop adds noise. All others fall."""

    def __call__(self, steps: int, schedule: Schedule, start: float = 1.0) -> Tensor:
        """(steps + 1,) float64 knots from `start` (0 < start <= 1) to exactly 0, falling; of one that `rises` one more
        for each time that it does.

        start = 0 gives the single knot [0]: nothing to do. Raises BadInput for fewer than one step, or a start outside
        [0, 1].
        """
        if isinstance(steps, bool) or int(steps) != steps or steps < 1:
            raise BadInput(f"The number of steps must be a whole number of at least 1, not {steps}.")
        check_time(start)
        return torch.zeros(1, dtype=torch.float64) if start == 0 else self.knots(int(steps), schedule, float(start))

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        """The knots themselves, for steps >= 1 and 0 < start <= 1."""
        raise NotImplementedError


def check_time(t: float) -> None:
    """Raises BadInput for a time or a strength outside [0, 1]."""
    if not 0 <= t <= 1:
        raise BadInput(f"A time or strength lies between 0 (clean) and 1 (noise), not {t}.")


def count_of(schedule: Schedule) -> int:
    """The size N of the schedule's table; 1000 where it has none."""
    return getattr(schedule, "count", 1000)


def ends_in_kappa(schedule: Schedule, start: float) -> tuple[float, float]:
    """kappa = sigma/alpha at the first and at the last knot before 0 of a grid over kappa: at `start`, or a hair below
    where it is infinite there, and at schedule.last."""
    first = start
    if schedule(1.0)[0] == 0:  # kappa is infinite there, and huge beside it
        first = min(start, 1 - schedule.last)
    alpha, sigma = schedule(torch.tensor([first, min(schedule.last, first / 2)], dtype=torch.float64))
    high, low = (sigma / alpha).tolist()
    return high, low


def in_kappa(
    steps: int,
    schedule: Schedule,
    start: float,
    warp: Callable[[Tensor], Tensor],
    unwarp: Callable[[Tensor], Tensor],
) -> Tensor:
    """n knots equally spaced in warp(kappa) between start and schedule.last, then 0; start itself is kept exact."""
    high, low = warp(torch.tensor(ends_in_kappa(schedule, start), dtype=torch.float64))
    weights = torch.arange(steps, dtype=torch.float64) / max(steps - 1, 1)
    return at_kappas(unwarp(high + weights * (low - high)), schedule, start)


def at_kappas(kappas: Tensor, schedule: Schedule, start: float) -> Tensor:
    """The knots at those kappas, of which the first is kept at `start` exactly, then 0."""
    knots = schedule.time(kappas)
    knots[0] = start
    return torch.cat([knots, torch.zeros(1, dtype=torch.float64)])
