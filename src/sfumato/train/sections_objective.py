"""The sections that say what a diffusion network is trained by: loss, parameterization, weighting, times, schedule."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from .section import Positive, Rate, Section


class Uniform(Section):
    kind: Literal["uniform"] = "uniform"


class Simple(Section):
    """1 for the noise, whatever the network says: L_simple, and denoising score matching with lambda = sigma^2."""

    kind: Literal["simple"]


class MinSNR(Section):
    kind: Literal["min-snr"]
    gamma: Rate = 5.0


class Sigmoid(Section):
    kind: Literal["sigmoid"]
    bias: float = -1.0


class EDMWeight(Section):
    """(kappa^2 + sigma_data^2)/(kappa sigma_data)^2 of x0, which is 1 for the network of "edm"."""

    kind: Literal["edm"]


Weighting = Annotated[Uniform | Simple | MinSNR | Sigmoid | EDMWeight, Field(discriminator="kind")]


class LogitNormal(Section):
    kind: Literal["logit-normal"]
    mean: float = 0.0
    std: Rate = 1.0


class LogNormal(Section):
    """kappa = sigma/alpha log-normal: EDM's noise."""

    kind: Literal["log-normal"]
    mean: float = -1.2
    std: Rate = 1.2


class Table(Section):
    """An index of the discrete table, uniformly: what a network of Stable Diffusion's kind is trained with."""

    kind: Literal["table"] = "table"


class Importance(Section):
    """An index of the table as often as its loss is large: the root of the mean square of its last `history` losses."""

    kind: Literal["importance"]
    history: Positive = 10


Times = Annotated[Uniform | LogitNormal | LogNormal | Table | Importance, Field(discriminator="kind")]


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
    projections: Positive = 1


class Objective(Section):
    """What stock samplers can use: a regression over a discrete table."""

    loss: Regression = Regression()
    parameterization: Literal["eps", "x0", "v"] = "v"
    weighting: Weighting = MinSNR(kind="min-snr")
    times: Times = Table()
    schedule: Literal["squaredcos_cap_v2", "scaled_linear", "linear"] = "squaredcos_cap_v2"
    table: Positive = 1000
    sigma_data: Rate = 0.5

    @property
    def learned_variance(self) -> bool:
        """Whether the network answers 2C channels: F, and the fraction of the variance."""
        return False


class Discrete(Section):
    """A table of `table` betas; `zero_terminal` rescales it to end in noise alone."""

    kind: Literal["squaredcos_cap_v2", "scaled_linear", "linear"]
    beta_start: Rate | None = None
    beta_end: Rate | None = None
    zero_terminal: bool = False


class VPLinear(Section):
    kind: Literal["vp-linear", "sub-vp"]
    beta_min: Rate = 0.1
    beta_max: Rate = 20.0


class VPScaledLinear(Section):
    kind: Literal["vp-scaled-linear"]
    beta_min: Rate = 0.85
    beta_max: Rate = 12.0


class Cosine(Section):
    kind: Literal["cosine"]
    s: Rate = 0.008


class VE(Section):
    kind: Literal["ve"]
    sigma_min: Rate = 0.01
    sigma_max: Rate = 50.0


class EDM(Section):
    kind: Literal["edm"]
    sigma_max: Rate = 80.0
    rho: Rate = 7.0
    sigma_min: Rate = 0.002


class Flow(Section):
    kind: Literal["flow"]
    shift: Rate = 1.0


AnySchedule = Annotated[Discrete | VPLinear | VPScaledLinear | Cosine | VE | EDM | Flow, Field(discriminator="kind")]


class FreeObjective(Objective):
    """Any loss over any schedule; a schedule's name alone stands for its defaults."""

    loss: Annotated[Regression | Vlb | Hybrid | ScoreMatching, Field(discriminator="kind")] = Regression()
    parameterization: Literal["eps", "x0", "v", "flow", "score", "edm"] = "v"
    weighting: Weighting = Uniform()
    times: Times = Uniform()
    schedule: AnySchedule = Cosine(kind="cosine")

    @field_validator("loss", "weighting", "times", "schedule", mode="before")
    @classmethod
    def _a_name_is_a_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> FreeObjective:
        bound = isinstance(self.loss, Vlb | Hybrid)
        if bound and not isinstance(self.times, Table | Importance):
            raise ValueError(f"the terms of {self.loss.kind} are the table's steps: times must be table or importance")
        if isinstance(self.loss, Vlb) and not isinstance(self.weighting, Uniform):
            raise ValueError("the terms of vlb weigh themselves: weighting must be uniform")
        if isinstance(self.loss, ScoreMatching) and not isinstance(self.weighting, Uniform | Simple):
            raise ValueError("score-matching is weighted by sigma^2: weighting must be uniform or simple")
        return self

    @property
    def noise(self) -> dict[str, Any]:
        """The schedule as `sfumato.schedule.named` takes it."""
        count = {"count": self.table} if isinstance(self.schedule, Discrete) else {}
        return {**self.schedule.model_dump(exclude_none=True), **count}

    @property
    def learned_variance(self) -> bool:
        return isinstance(self.loss, Hybrid) or (isinstance(self.loss, Vlb) and self.loss.variance == "learned")
