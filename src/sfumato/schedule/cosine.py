"""The cosine schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sfumato.lazy import Tensor, torch
from sfumato.schedule.base import double


@dataclass(frozen=True)
class Cosine:
    """alpha = cos(u)/cos(u_0) with u = pi/2 (t + s)/(1 + s): Nichol & Dhariwal 2021, eq. 17, unclipped; alpha(1) = 0.

    sigma^2 = sin(u + u_0) sin(u - u_0)/cos^2(u_0), the same thing without cancellation.
    """

    s: float = 0.008
    last: float = 1e-3

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = double(t)
        start, turn = self._start, math.pi / 2 * t / (1 + self.s)
        alpha = torch.sin(math.pi / 2 * (1 - t) / (1 + self.s)) / math.cos(start)
        alpha = torch.where(t == 0, 1.0, alpha)
        return alpha, torch.sqrt(torch.sin(turn + 2 * start) * torch.sin(turn)) / math.cos(start)

    def time(self, kappa: Tensor | float) -> Tensor:
        angle = torch.atan(double(kappa))
        sine, cosine = torch.sin(angle), torch.cos(angle)
        a, b = math.sin(self._start), math.cos(self._start)
        root = torch.sqrt((a * cosine).square() + sine.square())  # cos(angle) cos(u_0) tan(u)
        turn = torch.atan2(sine.square() / (b * (root + a * cosine)), cosine + a * root / b**2)
        return turn * (1 + self.s) / (math.pi / 2)

    @property
    def _start(self) -> float:
        return math.pi / 2 * self.s / (1 + self.s)
