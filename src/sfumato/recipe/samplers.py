"""Samplers by value: an element for each that has options. A name of `SAMPLERS` is short for its defaults.

The fields of an element are the options of the sampler of its `kind`, under the same names and with the same defaults.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from sfumato.element import Pair, Real, Whole, element, one_of
from sfumato.names import SAMPLERS


@element
class Churn:
    """Noise added before each step of Euler or Heun (Karras et al. 2022, algorithm 2), for t in `interval`.

    `amount` 0 is off; `scale` is the standard deviation of what is added.
    """

    amount: Real = Field(default=0.0, ge=0, le=1000, description="a number from 0 (off) to 1000")
    interval: Pair = Field(default=(0.0, 1.0), description="two times (low, high) with 0 <= low <= high <= 1")
    scale: Real = Field(default=1.0, ge=0, le=2, description="a number from 0 to 2, where 1 is the noise's own size")

    @model_validator(mode="after")
    def _ordered(self) -> Churn:
        low, high = self.interval
        if not 0 <= low <= high <= 1:
            raise ValueError(f"interval is ({low:g}, {high:g}): give two times (low, high) with 0 <= low <= high <= 1")
        return self


_CHURN = "Churn(amount), where 0 is off"
_ORDER = "1, 2 or 3"
_TOLERANCE = "a number from 0.000001 to 1"


@element
class DDPM:
    """Ancestral sampling (Ho et al. 2020): `variance` small is beta tilde, large beta, learned between them."""

    variance: Literal["small", "large", "learned"] = Field(default="small", description="small, large or learned")
    kind: Literal["ddpm"] = "ddpm"


@element
class DDIM:
    """The DDIM sampler with its noise: `eta` 0 is deterministic (the name "ddim"), 1 is ancestral."""

    eta: Real = Field(default=0.0, ge=0, le=1, description="a number from 0 (deterministic) to 1 (ancestral)")
    kind: Literal["ddim"] = "ddim"


@element
class Euler:
    """Euler's method on the probability flow, with `churn`."""

    churn: Churn = Field(default=Churn(), description=_CHURN)
    kind: Literal["euler"] = "euler"


@element
class Heun:
    """Heun's method: `form` tau is right for every schedule, kappa is EDM's own and diffusers'; with `churn`."""

    form: Literal["tau", "kappa"] = Field(default="tau", description="tau or kappa")
    churn: Churn = Field(default=Churn(), description=_CHURN)
    kind: Literal["heun"] = "heun"


@element
class UniPC:
    """UniPC (Zhao et al. 2023): a predictor of `order`, and a corrector that raises it by one at no further call."""

    order: Whole = Field(default=2, ge=1, le=3, description=_ORDER)
    form: Literal["bh1", "bh2"] = Field(default="bh2", description="bh1 or bh2")
    kind: Literal["unipc"] = "unipc"


@element
class DEIS:
    """DEIS (Zhang & Chen 2023) of `order`; `first` heun makes the first step as good as the others, at a call more."""

    order: Whole = Field(default=2, ge=1, le=3, description=_ORDER)
    first: Literal["ddim", "heun"] = Field(default="ddim", description="ddim or heun")
    kind: Literal["deis"] = "deis"


@element
class AdamsBashforth:
    """Adams-Bashforth of `order` in tau = sigma/(alpha + sigma)."""

    order: Whole = Field(default=2, ge=1, le=3, description=_ORDER)
    kind: Literal["adams-bashforth"] = "adams-bashforth"


@element
class RK45:
    """The probability flow by adaptive Runge-Kutta steps, each picture its own, to relative and absolute tolerances."""

    rtol: Real = Field(default=1e-4, ge=1e-6, le=1, description=_TOLERANCE)
    atol: Real = Field(default=1e-4, ge=1e-6, le=1, description=_TOLERANCE)
    kind: Literal["rk45"] = "rk45"


@element
class PredictorCorrector:
    """A step of `predictor`, then `corrections` moves of Langevin dynamics of size 4 `snr`^2 (Song et al. 2021)."""

    predictor: Literal["ddpm", "ddim", "euler-maruyama"] = Field(
        default="ddpm", description="ddpm, ddim or euler-maruyama"
    )
    snr: Real = Field(default=0.16, ge=1e-3, le=0.99, description="a number from 0.001 to 0.99")
    corrections: Whole = Field(default=1, ge=0, le=1000, description="a whole number from 0 to 1000")
    kind: Literal["predictor-corrector"] = "predictor-corrector"


@element
class Langevin:
    """Annealed Langevin dynamics (Song & Ermon 2019): `repeats` moves at every level, of `size` times sigma^2.

    `end` denoised takes the last level's noise away, noisy leaves it.
    """

    repeats: Whole = Field(default=10, ge=1, le=1000, description="a whole number from 1 to 1000")
    size: Real = Field(default=0.5, ge=1e-4, le=3.9, description="a number from 0.0001 to 3.9")
    end: Literal["denoised", "noisy"] = Field(default="denoised", description="denoised or noisy")
    kind: Literal["langevin"] = "langevin"


def _form(value: Any) -> str:
    return "name" if isinstance(value, str) else "element"


Elements = DDPM | DDIM | Euler | Heun | UniPC | DEIS | AdamsBashforth | RK45 | PredictorCorrector | Langevin
Sampler = Annotated[
    Annotated[str, one_of(tuple(SAMPLERS)), Tag("name")]
    | Annotated[Annotated[Elements, Field(discriminator="kind")], Tag("element")],
    Discriminator(_form),
]
