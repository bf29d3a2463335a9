"""A relay: a model begins a picture and another ends it (Podell et al. 2023, "SDXL", section 2.5)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from pydantic import Field

from sfumato.condition import Condition
from sfumato.denoise import Bound, Denoiser, Prediction
from sfumato.element import ModelName, Real, element
from sfumato.guide.other_model import check_same
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput
from sfumato.schedule import Schedule


@element("refiner")
class Refiner:
    """Another model takes over where t has fallen to `at`: SDXL's refiner, by default for the last fifth.

    It is told the same words by its own encoders, and guided as the first is. It must diffuse in the same space, on the
    same schedule. at: 1 leaves it the whole picture, 0 nothing.
    """

    model: ModelName = Field(min_length=1, description="the name or folder of the model that takes over")
    at: Real = Field(default=0.2, ge=0, le=1, description="a time from 0 (never) to 1 (from the beginning)")

    def infotext(self) -> dict[str, str]:
        return {"Refiner": self.model, "Refiner switch at": f"{1 - self.at:g}"}

    def bind(self, batch: Any, first: Bound) -> Bound:
        """`first`, and from `at` on the other model, in a run of `batch` (a `sfumato.model.Batch`)."""
        stage = batch.other_stage(self.model).at(batch.size)
        self._check(stage, batch)
        other = replace(batch, stage=stage)
        second = other.denoise([guidance.bind(other) for guidance in batch.recipe.guidance])
        return replace(first, denoiser=Relay(first.denoiser, second, self.at))

    def _check(self, stage: Any, batch: Any) -> None:
        """Raises BadInput where the other model can't go on with what the first has begun."""
        stage.capabilities.fitted(replace(batch.recipe, model=self.model))
        if hasattr(batch.recipe.start, "shows"):
            raise BadInput(
                f"The picture is inverted by this model, and the refiner {self.model} would lead it elsewhere: leave "
                "one of the two out."
            )
        check_same(f"The refiner {self.model}", batch.stage.at(batch.size), stage)
        if any(side % stage.multiple for side in batch.size):
            raise BadInput(f"The refiner {self.model} paints sides that are multiples of {stage.multiple}.")


@dataclass(frozen=True, eq=False)
class Relay:
    """The denoiser `denoiser` above t = `cut`, and `then`, which has its own condition, from there on.

    A sampler's memory of the first says nothing of the second: `sfumato.sample.trajectory` clears it at the cut.
    """

    denoiser: Denoiser
    then: Bound
    cut: float

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        first = t > self.cut
        if bool(first.all()):
            return self.denoiser(x, t, condition)
        if not bool(first.any()):
            return self.then(x, t)
        return either(first.to(x.device), self.denoiser(x, t, condition), self.then(x, t))  # each row by its own t


def either(first: Tensor, one: Prediction, other: Prediction) -> Prediction:
    """The rows of one prediction where `first` (B,), bool, is true, of another where it is not."""

    def rows(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        if a is None or b is None:
            return None
        return torch.where(first.to(a.device).reshape(-1, *[1] * (max(a.ndim, 1) - 1)), a, b)

    both: dict[str, Any] = {each.name: rows(*(getattr(p, each.name) for p in (one, other))) for each in fields(one)}
    return Prediction(**both)
