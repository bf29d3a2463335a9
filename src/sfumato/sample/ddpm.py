"""DDPM's ancestral sampling: Ho et al. 2020, with the variances of Nichol & Dhariwal 2021."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sfumato.denoise import Prediction
from sfumato.element import Real, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.picture.errors import BadInput
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots
from sfumato.schedule import Schedule


@element("ddpm", label="DDPM")
class DDPM(Sampler):
    """x_s = alpha_s x0 + sigma_s q eps + Sigma^(1/2) z, the posterior's mean plus a variance; none at s = 0.

    variance: "small" is beta tilde, Sigma = sigma_s^2 (1 - q^2); "large" is beta, Sigma = sigma_t^2 (1 - q^2) (Ho et
    al. 2020, section 3.2; Saharia et al. 2021, algorithm 2, whose 1 - alpha_t is beta); "between" goes between them by
    the constant `v`, log Sigma = v log beta + (1 - v) log beta tilde (Ho & Salimans 2022, algorithm 2: 0.3 for small
    pictures); "learned" by the network's own fraction v (Nichol & Dhariwal 2021, eq. 15), for any pair (t, s), so that
    fewer steps stay right; at s = 0, where beta tilde is 0, that of the step that led to t stands in, as in the papers'
    code, so that Sigma is finite for a fraction beyond [0, 1] too. Weak order 1. With a classifier's `shift`, taken at
    x_t and not at the mean, the mean is the unguided one plus Sigma shift (Dhariwal & Nichol 2021, algorithm 1).
    "small" equals `DDIM(eta=1)`.
    """

    variance: Literal["small", "large", "between", "learned"] = Field(
        default="small", description="small, large, between or learned"
    )
    v: Real = Field(default=0.3, ge=0, le=1, description="a number from 0 (small) to 1 (large), for between")

    @property
    def ancestral_eta(self) -> float:  # type: ignore[override]
        return 1.0 if self.variance == "small" else 0.0

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        mean = k.alpha_s * p.x0 + (k.sigma_s * k.q) * p.eps
        if p.shift is None and k.sigma_s == 0:
            return mean, None
        Sigma = self._variance(p, k, denoise.schedule, t)
        if p.shift is not None:  # the mean has moved by (alpha_s/alpha_t) beta shift already, and should by Sigma shift
            mean = mean + (Sigma - k.sigma_t**2 * k.fresh * k.alpha_s / k.alpha_t) * p.shift
        if k.sigma_s > 0:
            mean = mean + (Sigma**0.5) * noise(p.x0)
        return mean, None

    def _variance(self, p: Prediction, k: Knots, schedule: Schedule, t: Tensor) -> Tensor | float:
        match self.variance:
            case "small":
                return k.fresh * k.sigma_s**2
            case "large":
                return k.fresh * k.sigma_t**2
            case "between":
                return _between(self.v, k)
            case "learned":
                if p.fraction is None:
                    raise BadInput("This network has no learned variance: use DDPM's variance small, between or large.")
                return _between(p.fraction, k) if k.sigma_s > 0 else _at_the_end(p.fraction, k, schedule, t)


def _between(v: Any, k: Knots) -> Any:
    """Sigma with log Sigma = v log beta + (1 - v) log beta tilde."""
    return k.fresh * k.sigma_t ** (2 * v) * k.sigma_s ** (2 * (1 - v))


def _at_the_end(v: Any, k: Knots, schedule: Schedule, t: Tensor) -> Any:
    """The same at s = 0: beta is sigma_t^2, and for beta tilde that of the step that led to t, of the same length."""
    before = Knots.of(schedule, (2 * t).clamp(max=1), t).fresh if t < 1 else 1.0
    return k.sigma_t**2 * before ** (1 - v)
