"""The probability flow by an adaptive Runge-Kutta method, each picture with steps of its own."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from sfumato.element import Real, element
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.predict import expand
from sfumato.sample.adaptive import FINEST, TOLERANCE, choose, size_of
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ddim

# Dormand & Prince 1980, table 2 (RK5(4)7M): the last row of A is the fifth-order result, whose slope the next step
# begins with; E is its difference to the fourth-order one.
C = (0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1)
A = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
E = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)

SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0


@element("rk45", label="RK45")
class RK45(Sampler):
    """d(x/(alpha + sigma))/dtau = eps - x0 by Dormand & Prince's 5(4) pair, whatever the grid between t and s.

    tau = sigma/(alpha + sigma). A picture's step is accepted where the root mean square over its values of
    error/(atol + rtol max(|y|, |y_new|)) is at most 1, and the next one is 0.9 (1/that)^(1/5) times as long, at least
    a fifth and at most five times. Every picture keeps its own step size and its own time, so that it does not depend
    on its neighbours (Hairer, Nørsett & Wanner 1993, section II.4; the probability flow is Song et al. 2021, eq. 13).

    Network calls: one and six a try, for the picture of the batch that needs the most; the grid's steps cost one each
    beyond that. Order 5 in the grid's steps where the tolerances never bind. A network whose time is rounded to whole
    indices is not smooth: tight tolerances buy nothing there, and no inner step is shorter than 1/1024 of the
    grid's. Below `schedule.last` networks are asked at the grid's own knots alone, and steps are DDIM's.

    rtol, atol: relative to values of about 1.
    """

    reads_score: ClassVar[bool] = True

    rtol: Real = Field(default=1e-4, gt=0, le=1e9, description=TOLERANCE)
    atol: Real = Field(default=1e-4, gt=0, le=1e9, description=TOLERANCE)

    def init(self, x: Tensor, times: Tensor) -> State:
        return torch.full((len(x),), math.inf, dtype=torch.float64)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        last = denoise.schedule.last
        if max(t, s) <= last:
            return _ddim(denoise, x, t, s), state
        begin, end = t.clamp(min=last), s.clamp(min=last)
        if t < begin:
            x = _ddim(denoise, x, t, begin)
        if begin != end:
            x, state = self._walk(denoise, x, begin, end, state)
        if s < end:
            x = _ddim(denoise, x, end, s)
        return x, state

    def _walk(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, widest: Tensor) -> tuple[Tensor, Tensor]:
        """From t to s; `widest` (B,) is the length in tau that each picture tries first."""
        path = _Path(denoise, t, s)
        span = path.end - path.begin
        finest = abs(span) * FINEST
        now = torch.full_like(widest, path.begin)
        y = x / path.scale(t)
        slope = path.slope(y, now)
        while bool((moving := now != path.end).any()):
            left = (path.end - now).abs()
            length = torch.minimum(widest.clamp(min=finest), left)
            reaches = length == left
            d = math.copysign(1.0, span) * length
            slopes = [slope]
            ahead = y
            for c, row in zip(C[1:], A[1:], strict=True):
                ahead = y + expand(d, y) * _sum(row, slopes)
                there = torch.where(reaches & (c == 1), path.end, now + c * d)
                slopes.append(path.slope(ahead, there))
            allowed = self.atol + self.rtol * torch.maximum(y.abs(), ahead.abs())
            error = size_of(expand(d, y) * _sum(E, slopes), allowed)
            taken = moving & ((error <= 1) | (length <= finest))
            factor = (SAFETY * error.clamp(min=1e-10) ** -0.2).clamp(SHRINK, GROW)
            now = torch.where(taken, torch.where(reaches, path.end, now + d), now)
            y, slope = choose(taken, ahead, y), choose(taken, slopes[-1], slope)
            cut_short = reaches & (factor > 1)  # by the end: that says nothing against a longer one
            widest = torch.where(moving & ~cut_short, length * factor, widest)
        return y * path.scale(s), widest


class _Path:
    """The probability flow between two times, as a function of tau."""

    def __init__(self, denoise: Denoise, t: Tensor, s: Tensor) -> None:
        self.denoise, self.t, self.s = denoise, t, s
        alpha, sigma = denoise.schedule(torch.stack([t, s]))
        self.begin, self.end = (sigma / (alpha + sigma)).tolist()

    def scale(self, t: Tensor) -> float:
        alpha, sigma = self.denoise.schedule(t)
        return float(alpha + sigma)

    def slope(self, y: Tensor, tau: Tensor) -> Tensor:
        """eps - x0 at y (B, ...) and tau (B,); at both ends the time is the grid's own, to the bit."""
        t = self.denoise.schedule.time(tau / (1 - tau)).clamp(min(self.t, self.s), max(self.t, self.s))
        t = torch.where(tau == self.begin, self.t, torch.where(tau == self.end, self.s, t))
        alpha, sigma = self.denoise.schedule(t)
        p = self.denoise(expand(alpha + sigma, y) * y, t)
        return p.eps - p.x0


def _ddim(denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
    return ddim(denoise(x, t), Knots.of(denoise.schedule, t, s))


def _sum(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    total = weights[0] * slopes[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight:
            total = total + weight * slope
    return total
