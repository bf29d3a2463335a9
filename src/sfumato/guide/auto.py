"""Autoguidance: Karras et al. 2024."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Denoiser, Prediction
from sfumato.guide.interval import ALWAYS, Interval, check, inside, touches
from sfumato.predict import expand


@dataclass(frozen=True, eq=False)
class AutoGuidance:
    """bad + scale (good - bad), for x0 and for eps: away from a worse version of the same model.

    Karras et al. 2024, "Guiding a diffusion model with a bad version of itself", eq. 2. `bad` is a denoiser of the
    same pictures and conditions that makes the same mistakes, only more of them: an early snapshot, a smaller network.
    It sees the same condition, so that, unlike classifier-free guidance, what is asked for is not pushed, and variety
    stays. With the unconditional denoiser for `bad` it is `ClassifierFree`.

    scale: 1 is off and costs nothing, 0 is `bad` itself. interval: it acts where t lies in it, both ends included.
    Costs no row of the network, but a call of `bad`.
    """

    bad: Denoiser
    scale: float = 2.0
    interval: Interval = ALWAYS

    def __post_init__(self) -> None:
        check(self.interval)

    @property
    def name(self) -> str:
        """Under which its answers stand: one for each `bad`, so that two guidances by it share a call."""
        return f"bad-{id(self.bad)}"

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {}

    def answers(self, x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Prediction]:
        return {self.name: self.bad(x, t, condition)} if self._acts(t) else {}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if not self._acts(t):
            return current
        bad, good = outs[self.name], outs["conditional"]
        more = expand(torch.where(inside(self.interval, t), self.scale - 1, 0.0), x) if t.ndim else self.scale - 1
        return current.moved(x0=current.x0 + more * (good.x0 - bad.x0), eps=current.eps + more * (good.eps - bad.eps))

    def _acts(self, t: Tensor) -> bool:
        return self.scale != 1 and touches(self.interval, t)
