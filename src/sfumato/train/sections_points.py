"""The sections of a recipe for points in the plane."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .section import Count, Fraction, Positive, Section
from .sections import Common
from .sections_objective import FreeObjective


class PlaneData(Section):
    """`count` points of one of the worlds of `sfumato.data.points`; those after them are measured on."""

    kind: Literal["swiss-roll", "two-moons", "pinwheel", "checkerboard", "ring"] = "swiss-roll"
    seed: Count = 0
    count: Positive = 50_000


class MLPNetwork(Section):
    """Shape of `sfumato.network.mlp.MLP`."""

    width: Positive = 128
    depth: Positive = 3


class Plot(Section):
    """What a sample sheet shows: `count` points of Heun's method in `steps` steps."""

    count: Positive = 4000
    steps: Positive = 20
    guidance: Annotated[float, Field(ge=0)] = 1.0
    seed: Count = 0


class Points(Common):
    """Diffusion of points, told their class unless `labels` is false.

    `dropout` is p_uncond of Ho and Salimans 2022, algorithm 1; at 0 the network never learns to do without a class.
    """

    task: Literal["points"]
    data: PlaneData = PlaneData()  # pyright: ignore[reportIncompatibleVariableOverride]
    network: MLPNetwork = MLPNetwork()
    objective: FreeObjective = FreeObjective(sigma_data=1.0)
    labels: bool = True
    dropout: Fraction = 0.1
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    preview: Plot = Plot()

    @model_validator(mode="before")
    @classmethod
    def _vignettes_unless_said(cls, values: Any) -> Any:
        return values
