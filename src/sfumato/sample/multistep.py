"""What multistep solvers share: a memory of earlier answers, and the integral of a polynomial through them.

Every solver here writes the exact solution over a step as DDIM's move plus a factor times

    integral_0^1 weight(r) (f(r) - f(0)) dr,      r = 0 at t, 1 at s,

and puts for f the polynomial through the answers it remembers, at r_j. Only the moments of the weight are needed,
m_i = integral weight(r) r^i dr: the integral is sum_j w_j (f_j - f) with sum_j w_j r_j^i = m_i, i = 1 ... n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sfumato.lazy import Tensor

FAR = 50.0  # a step in log(alpha/sigma) so wide that earlier answers say nothing about its end
FEW = 15  # fewer steps than this end in lower orders (Lu et al. 2022, appendix D; diffusers' `lower_order_final`)


@dataclass(frozen=True)
class Answer:
    """What a solver remembers of one knot: where it stood on the solver's axis, and the value there."""

    place: float
    value: Tensor


@dataclass(frozen=True)
class Memory:
    """The last answers, newest first, how many steps are left, and whether the order falls towards the end."""

    past: tuple[Answer, ...]
    left: int
    falls: bool

    def order(self, highest: int) -> int:
        """The order of this step: at most `highest`, what is remembered allows, and where it falls, the steps left."""
        return min(highest, len(self.past) + 1, self.left if self.falls else highest)

    def with_(self, answer: Answer, keep: int) -> Memory:
        """After a step: `answer` in front of the `keep` - 1 newest ones."""
        return replace(self, past=(answer, *self.past[: keep - 1]), left=self.left - 1)

    def cleared(self) -> Memory:
        """After a step that nothing can be carried over."""
        return replace(self, past=(), left=self.left - 1)


def correction(here: Answer, past: Sequence[Answer], h: float, moments: Sequence[float]) -> Tensor | float:
    """sum_j w_j (f_j - f) over as many of `past` as there are moments: 0 of none. h is the step on the solver's axis.

    `past` may also hold the end of the step, for an implicit solver. On divided differences this is Newton's form:
    one moment m gives m (f_1 - f)/r_1.
    """
    used = past[: len(moments)]
    if not used:
        return 0.0
    r = np.array([(answer.place - here.place) / h for answer in used])
    powers = np.arange(1, len(used) + 1)[:, None]
    weights = np.linalg.solve(r**powers, np.asarray(moments[: len(used)]))
    total = float(weights[0]) * (used[0].value - here.value)
    for weight, answer in zip(weights[1:], used[1:], strict=True):
        total = total + float(weight) * (answer.value - here.value)
    return total


def exponential(h: float, k: float, count: int) -> list[float]:
    """The moments m_0 ... m_count of the weight k h exp(k h (r - 1)): 1 - exp(-k h), then m_i = 1 - i m_(i-1)/(k h).

    k = 1 belongs to x0 on the probability flow, k = 2 to x0 in the reverse SDE, k = -1 to eps on the flow, with h the
    step in log(alpha/sigma). They are i! k h times the phi functions of exponential integrators.
    """
    moments = [-math.expm1(-k * h)]
    for i in range(1, count + 1):
        moments.append(1 - i * moments[-1] / (k * h))
    return moments
