"""The section of a recipe that says what a diffusion network is trained by."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from sfumato.element.section import Few, Named, Rate, Section
from sfumato.train.objective.noise import CosineNoise, DiscreteNoise, Noise
from sfumato.train.objective.times import Importance, Table, Times, Uniform
from sfumato.train.objective.weighting import Flat, MinSNR, Simple, Weighting


class Regression(Section):
    """|F - F*|^norm: Palette's p in {1, 2}."""

    kind: Literal["regression"] = "regression"
    norm: Literal[1, 2] = 2


class Vlb(Section):
    """The variational bound's own terms. `variance` learned: the network has twice the channels."""

    kind: Literal["vlb"]
    variance: Literal["learned", "small", "large"] = "learned"


class Hybrid(Section):
    """L_simple + `bound` L_vlb, where the bound teaches the variance alone. The network has twice the channels."""

    kind: Literal["hybrid"]
    bound: Rate = 0.001


class ScoreMatching(Section):
    """Score matching of the noisy data without a target, weighted by sigma^2: exact, or along random directions.

    `trace` full takes the trace of the score's Jacobian exactly, one backward pass an element; "sliced" projects score
    and Jacobian (SSM); "hutchinson" projects the Jacobian alone (SSM-VR).
    """

    kind: Literal["score-matching"]
    trace: Literal["full", "sliced", "hutchinson"] = "hutchinson"
    projections: Few = 1


class StockObjective(Section):
    """A regression over a discrete table; stock samplers can use all parameterizations but mu."""

    loss: Regression = Regression()
    parameterization: Literal["eps", "x0", "v", "mu"] = "v"
    weighting: Weighting = MinSNR(kind="min-snr")
    times: Times = Table()
    schedule: Literal["squaredcos_cap_v2", "scaled_linear", "linear"] = "squaredcos_cap_v2"
    table: Annotated[int, Field(gt=0, le=100_000)] = 1000
    sigma_data: Rate = 0.5

    @property
    def learned_variance(self) -> bool:
        """Whether the network answers 2C channels: F, and the fraction of the variance."""
        return False


class FreeObjective(StockObjective):
    """Any loss over any schedule; a schedule's name alone stands for its defaults."""

    loss: Annotated[Regression | Vlb | Hybrid | ScoreMatching, Field(discriminator="kind"), Named] = Regression()
    parameterization: Literal["eps", "x0", "v", "flow", "score", "edm", "mu"] = "v"
    weighting: Weighting = Flat()
    times: Times = Uniform()
    schedule: Noise = CosineNoise(kind="cosine")

    @model_validator(mode="after")
    def _fits(self) -> FreeObjective:
        bound = isinstance(self.loss, Vlb | Hybrid)
        if bound and not isinstance(self.times, Table | Importance):
            raise ValueError(f"the terms of {self.loss.kind} are the table's steps: times must be table or importance")
        if isinstance(self.loss, Vlb) and not isinstance(self.weighting, Flat):
            raise ValueError("the terms of vlb weigh themselves: weighting must be uniform")
        if isinstance(self.loss, ScoreMatching) and not isinstance(self.weighting, Flat | Simple):
            raise ValueError("score-matching is weighted by sigma^2: weighting must be uniform or simple")
        if self.parameterization == "mu" and not isinstance(self.schedule, DiscreteNoise):
            tables = ", ".join(get_args(DiscreteNoise.model_fields["kind"].annotation))
            raise ValueError(f"mu is the mean of a step of a table: schedule must be one of {tables}")
        if self.parameterization in ("eps", "score") and getattr(self.schedule, "zero_terminal", False):
            raise ValueError(f"{self.parameterization} says nothing of the picture where all is noise: take v or x0")
        return self

    @property
    def noise(self) -> dict[str, Any]:
        """The schedule as `sfumato.schedule.named` takes it."""
        count = {"count": self.table} if isinstance(self.schedule, DiscreteNoise) else {}
        return {**self.schedule.model_dump(exclude_none=True), **count}

    @property
    def learned_variance(self) -> bool:
        return isinstance(self.loss, Hybrid) or (isinstance(self.loss, Vlb) and self.loss.variance == "learned")


class TableObjective(FreeObjective):
    """Any loss over a discrete table, which stock samplers know."""

    loss: Annotated[Regression | Vlb | Hybrid, Field(discriminator="kind"), Named] = Regression()
    parameterization: Literal["eps", "x0", "v", "mu"] = "v"
    weighting: Weighting = MinSNR(kind="min-snr")
    schedule: Annotated[DiscreteNoise, Named] = DiscreteNoise(kind="squaredcos_cap_v2")
