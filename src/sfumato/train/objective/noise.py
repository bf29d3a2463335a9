"""The schedule that a recipe names, with its options: what `sfumato.schedule.named` makes of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sfumato.element.section import Named, Rate, Section


class DiscreteNoise(Section):
    """A table of `table` betas; `zero_terminal` rescales it to end in noise alone."""

    kind: Literal["squaredcos_cap_v2", "scaled_linear", "linear"]
    beta_start: Rate | None = None
    beta_end: Rate | None = None
    zero_terminal: bool = False


class VPLinearNoise(Section):
    kind: Literal["vp-linear", "sub-vp"]
    beta_min: Rate = 0.1
    beta_max: Rate = 20.0


class VPScaledLinearNoise(Section):
    kind: Literal["vp-scaled-linear"]
    beta_min: Rate = 0.85
    beta_max: Rate = 12.0


class CosineNoise(Section):
    kind: Literal["cosine"]
    s: Rate = 0.008


class VENoise(Section):
    kind: Literal["ve"]
    sigma_min: Rate = 0.01
    sigma_max: Rate = 50.0


class EDMNoise(Section):
    kind: Literal["edm"]
    sigma_max: Rate = 80.0
    rho: Rate = 7.0
    sigma_min: Rate = 0.002


class FlowNoise(Section):
    kind: Literal["flow"]
    shift: Rate = 1.0


AnyNoise = DiscreteNoise | VPLinearNoise | VPScaledLinearNoise | CosineNoise | VENoise | EDMNoise | FlowNoise
Noise = Annotated[AnyNoise, Field(discriminator="kind"), Named]
