"""How the other stages of a model walk, where a model is several diffusions, one after the other. No torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from sfumato.element import Listed, Whole, element
from sfumato.guide import Guidance
from sfumato.sample import Sampler
from sfumato.sample.sampler import refuse_guidance
from sfumato.times import TimeGrid

if TYPE_CHECKING:
    from sfumato.recipe.capabilities import Suits


@element
class StageOptions:
    """Guidance, sampler, times and steps of the stage called `stage`, as "prior" or "upscale"; what is None is what
    suits that stage.

    Those of the stage that paints first are a recipe's own.
    """

    stage: str = Field(min_length=1, max_length=60, description="the name of a stage, as prior or upscale")
    guidance: Listed[Guidance] | None = Field(
        default=None, max_length=16, description="a list of at most 16 guidances, or nothing for what suits the stage"
    )
    sampler: Sampler | None = None
    times: TimeGrid | None = None
    steps: Whole | None = Field(default=None, ge=1, le=1000, description="a whole number from 1 to 1000, or nothing")

    def filled(self, suits: Suits) -> StageOptions:
        """The same with what suits the stage for what is None. Raises BadInput where the two don't go together."""
        found = self.over(suits)
        for each in found.guidance:
            refuse_guidance(each, found.sampler)
        return StageOptions(self.stage, found.guidance, found.sampler, found.times, found.steps)

    def over(self, suits: Suits) -> Suits:
        """What suits the stage, but for what is said here."""
        said = {name: getattr(self, name) for name in ("guidance", "sampler", "times", "steps")}
        return replace(suits, **{name: value for name, value in said.items() if value is not None})
