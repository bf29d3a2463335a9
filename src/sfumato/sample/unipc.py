"""UniPC: a predictor, and a corrector that costs no further network call. Zhao et al. 2023."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from sfumato.element import Whole, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.multistep import FAR, Answer, Memory, correction, exponential
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ddim


@dataclass(frozen=True)
class Tried:
    """The last step, to be corrected by the answer at its end: its memory, its h and order, and the C it used."""

    memory: Memory
    h: float = math.nan
    order: int = 0
    C: Tensor | float = 0.0


@element(
    "unipc",
    label={"unipc-bh1": "UniPC"},
    presets={"unipc-bh1": {"order": 3, "form": "bh1"}, "unipc-bh2": {"order": 3}},
)
class UniPC(Sampler):
    """DDIM plus alpha_s C, C the exponential integral of x0 as in `DPMpp3M`; then C again with the end of the step.

    Zhao et al. 2023, algorithms 5 and 6, predicting x0. UniP takes the polynomial through the last `order` x0; when
    the next step has asked the network at the end of this one, UniC takes the polynomial through that answer too, and
    x moves by alpha (C_corrected - C_predicted) before the next step: one network call a step.

    order: 1, 2 or 3 of the predictor; the corrected solver's is one higher. form: B(h) = h ("bh1") or 1 - e^(-h)
    ("bh2"); it matters where one answer is used alone, whose weight is B(h)/2 by the paper's simplification. A1111 and
    ComfyUI take order 3, as "unipc-bh1" and "unipc-bh2" do.

    denoise_to_zero=False ends one knot before 0, scaled by its alpha, and the order falls towards it, as A1111 does.

    Without memory (at the start, after sigma = 0 or alpha = 0) the predictor is DDIM; where the grid ends at sigma = 0
    the order falls to 2 and 1 in the last steps, as in diffusers.
    """

    order: Whole = Field(default=2, ge=1, le=3, description="1, 2 or 3")
    form: Literal["bh1", "bh2"] = Field(default="bh2", description="bh1 or bh2")
    denoise_to_zero: bool = Field(default=True, description="true or false")

    def init(self, x: Tensor, times: Tensor) -> State:
        steps = len(times) - 1 if self.denoise_to_zero else len(times) - 2
        return Tried(Memory((), steps, falls=bool(times[-1] == 0)))

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        k = Knots.of(denoise.schedule, t, s)
        if k.sigma_s == 0 and not self.denoise_to_zero:
            return x * (k.alpha_s / k.alpha_t), state
        p = denoise(x, t)
        here, memory = Answer(k.place, p.x0), state.memory
        moved = k.alpha_t * self._corrected(here, state)
        x = ddim(p, k) + (k.sigma_s / k.sigma_t if k.sigma_t else 0.0) * moved
        if not 0 < abs(k.h) < FAR:
            return x, Tried(memory.cleared())
        order = memory.order(self.order)
        C = correction(here, memory.past, k.h, self._moments(k.h, order - 1))
        return x + k.alpha_s * C, Tried(memory.with_(here, keep=3), k.h, order, C)

    def _corrected(self, end: Answer, tried: Tried) -> Tensor | float:
        """How much the last step's C changes by the answer at its end."""
        if not tried.memory.past:
            return 0.0
        begin, *before = tried.memory.past
        known = (*before[: tried.order - 1], end)
        return correction(begin, known, tried.h, self._moments(tried.h, tried.order)) - tried.C

    def _moments(self, h: float, count: int) -> list[float]:
        """The exponential moments for a polynomial through `count` further answers."""
        m = exponential(h, 1, count)
        if count == 1:
            return [m[0] / 2 if self.form == "bh2" else h / 2]
        return m[1:]
