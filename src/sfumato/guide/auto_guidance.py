"""Autoguidance: Karras et al. 2024."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from sfumato.condition import Condition, Watched
from sfumato.denoise import Denoiser, Prediction
from sfumato.element import Interval, ModelName, Real, element
from sfumato.guide.guidance import ALWAYS, Guidance, check_interval, touches, within
from sfumato.guide.guided import Guided
from sfumato.guide.other_model import check_same
from sfumato.lazy import Tensor
from sfumato.picture import BadInput


@element("auto")
class AutoGuidance(Guidance):
    """bad + scale (good - bad), for x0 and for eps: away from a worse version of the same model.

    Karras et al. 2024, "Guiding a diffusion model with a bad version of itself", eq. 2. The worse version draws the
    same pictures under the same conditions and makes the same mistakes, only more of them: an early snapshot, a smaller
    network. It sees the same condition, so that, unlike classifier-free guidance, what is asked for is not pushed, and
    variety stays. With the unconditional model for the worse one it is `ClassifierFree`.

    model: a model's name or folder. scale: 1 is off and costs nothing, 0 is the worse version itself. interval: it acts
    where t lies in it, both ends included. Costs no row of the network, but a call of the worse one.
    """

    model: ModelName = Field(min_length=1, description="the name or folder of a worse version of the model")
    scale: Real = Field(default=2.0, ge=0, le=1000, description="a number from 0 to 1000, where 1 means off")
    interval: Interval = (0.0, 1.0)

    def bind(self, batch: Any) -> AutoGuided:
        """Raises BadInput where the worse version draws other pictures than the model's, or where controls would steer
        it that were made for a network of another shape."""
        bad, good = batch.other_stage(self.model).at(batch.size), batch.stage.at(batch.size)
        check_same(f"The worse version {self.model}", good, bad)
        shapes = [[weight.shape for weight in each.networks[each.painter].parameters()] for each in (good, bad)]
        if batch.recipe.controls and shapes[0] != shapes[1]:
            raise BadInput(
                f"The worse version {self.model} has a network of another shape, which this one's controls don't fit: "
                "leave one of the two out."
            )
        return AutoGuided(Guided(bad.denoiser, ()), self.scale, self.interval)


@dataclass(frozen=True, eq=False)
class AutoGuided(Guidance):
    """`AutoGuidance` by the denoiser `bad`.

    D_bad + scale (D - D_bad) (Karras et al. 2024): away from what a smaller or less trained network would
    paint. `bad` is such a network, bound when it is asked with the same condition. In a recipe `AutoGuidance` names
    it instead.
    """

    bad: Denoiser
    scale: float = 2.0
    interval: tuple[float, float] = ALWAYS

    def __post_init__(self) -> None:
        check_interval(self.interval)

    @property
    def name(self) -> str:
        """Under which its answers stand: one for each `bad`, so that two guidances by it share a call."""
        return f"bad-{id(self.bad)}"

    def answers(self, x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Prediction]:
        return {self.name: self.bad(x, t, condition.without(Watched))} if self._acts(t) else {}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if not self._acts(t):
            return current
        bad, good = outs[self.name], outs["conditional"]
        more = within(self.interval, t, self.scale - 1, x)
        return current.moved(x0=current.x0 + more * (good.x0 - bad.x0), eps=current.eps + more * (good.eps - bad.eps))

    def _acts(self, t: Tensor) -> bool:
        return self.scale != 1 and touches(self.interval, t)
