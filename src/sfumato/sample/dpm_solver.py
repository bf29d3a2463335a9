"""DPM-Solver's steps of order 1, 2 and 3, for every picture a step of its own: Lu et al. 2022, algorithms 1 and 2.

With kappa = sigma/alpha and y = x/alpha the probability flow is dy/dkappa = eps. From a to b, a step of h = log(a/b):

    order 1   x0 + b eps                                                     (DDIM)
    order 2   order 1 + (b - a)/(2 r) (eps_1 - eps),                         eps_1 asked at a e^(-r h)
    order 3   order 1 + (3/2) ((b - a)/h + b) (eps_2 - eps),                 eps_2 asked at c = a e^(-2 h/3)

where x at c is order 1 + 2 ((c - a)/(2 h/3) + c) (eps_1 - eps), with r = 1/3. The order below is embedded in each.
"""

from __future__ import annotations

import math

from sfumato.denoise import Prediction
from sfumato.lazy import Tensor, torch
from sfumato.predict import expand
from sfumato.sample.step import RISES, Denoise
from sfumato.schedule import Schedule


class KappaFlow:
    """The probability flow between the times t and s as a function of kappa, float64 in the shape () or (B,)."""

    def __init__(self, denoise: Denoise, t: Tensor, s: Tensor) -> None:
        self.denoise, self.t, self.s = denoise, t, s
        self.begin, self.end = kappa_at(denoise.schedule, t), kappa_at(denoise.schedule, s)

    @property
    def straight(self) -> bool:
        """Whether it can be stepped by order 1 alone: at an end without noise or picture, and where it stays."""
        return self.begin == self.end or not all(0 < kappa < math.inf for kappa in (self.begin, self.end))

    def ask(self, y: Tensor, kappa: Tensor) -> Prediction:
        """The answer at y and kappa; at both ends the time is the grid's own, to the bit."""
        t = torch.where(kappa == self.end, self.s.to(kappa), self.denoise.schedule.time(kappa))
        t = torch.where(kappa == self.begin, self.t.to(kappa), t)
        return self.denoise(expand(self.denoise.schedule(t)[0], y) * y, t)


def embedded(flow: KappaFlow, here: Prediction, a: Tensor, b: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """y at b by the order below and by `order`, 2 or 3, from `here`, the answer at a. `order` - 1 calls."""
    h = torch.log(a / b)
    end = first(here, b)
    if order == 2:
        middle = a * torch.exp(-h / 2)
        change = flow.ask(first(here, middle), middle).eps - here.eps
        return end, end + expand(b - a, end) * change
    third, later = a * torch.exp(-h / 3), a * torch.exp(-2 * h / 3)
    change = flow.ask(first(here, third), third).eps - here.eps
    ahead = first(here, later) + expand(2 * _bend(a, later, 2 * h / 3), end) * change
    bent = flow.ask(ahead, later).eps - here.eps
    return end + expand(1.5 * (b - a), end) * change, end + expand(1.5 * _bend(a, b, h), end) * bent


def first(here: Prediction, b: Tensor) -> Tensor:
    """y at b by order 1."""
    return here.x0 + expand(b, here.x0) * here.eps


def lowered(a: Tensor, b: Tensor, eta: float, last: float) -> tuple[Tensor, Tensor]:
    """Where a step from a to b leads before new noise, b sqrt(1 - eta^2 (1 - b^2/a^2)) and not below the walk's last
    kappa, and the size of the noise in y that leads from there up to b. Raises ValueError where it rises."""
    if eta == 0:
        return b, torch.zeros_like(b)
    if bool((b > a).any()):
        raise ValueError(RISES)
    below = torch.minimum(b, (b * torch.sqrt(1 - eta**2 * (1 - (b / a) ** 2))).clamp(min=last))
    return below, torch.sqrt((b**2 - below**2).clamp(min=0))


def kappa_at(schedule: Schedule, t: Tensor) -> float:
    """sigma/alpha at t, infinite where alpha is 0."""
    alpha, sigma = schedule(t)
    return float(sigma / alpha)


def last_knot(times: Tensor) -> Tensor:
    """The last knot of a grid before 0."""
    return times[-2] if len(times) > 1 and times[-1] == 0 else times[-1]


def _bend(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """(b - a)/h + b, the integral over kappa of log(a/kappa)/h from a to b: 0 where the step stays."""
    return torch.where(h == 0, 0.0, (b - a) / h + b)
