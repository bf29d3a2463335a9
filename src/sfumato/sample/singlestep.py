"""What solvers share that ask the network at the middle of a step: where that is, what they make of it, and where new
noise begins."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from sfumato.denoise import Prediction
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.sample.step import Denoise, Knots, ddim
from sfumato.schedule import Schedule

ETA = "a number from 0 (no new noise) to 1 (ancestral)"


def lowered(k: Knots, eta: float) -> tuple[Knots, float]:
    """The part of a step that is no new noise, to sigma' = sigma_s sqrt(1 - eta^2 (1 - q^2)), and the size of the noise
    that leads from there up to sigma_s, sqrt(sigma_s^2 - sigma'^2) (Song et al. 2021, eq. 16); the step itself and 0
    where there is none. Raises ValueError where a step with noise rises."""
    if eta == 0 or k.sigma_s == 0:
        return k, 0.0
    fresh = k.fresh
    return replace(k, sigma_s=k.sigma_s * math.sqrt(1 - eta**2 * fresh)), k.sigma_s * eta * math.sqrt(fresh)


def middle(schedule: Schedule, k: Knots, t: Tensor) -> Tensor | None:
    """The time in the middle of a step in log(alpha/sigma), at kappa = sqrt(kappa_t kappa_s); None where there is no
    middle: at an end without noise or without picture, and in a step that stays."""
    if 0 in (k.alpha_t, k.alpha_s, k.sigma_t, k.sigma_s) or k.h == 0:
        return None
    kappa = math.sqrt(k.sigma_t * k.sigma_s / (k.alpha_t * k.alpha_s))
    return schedule.time(torch.as_tensor(kappa, dtype=torch.float64, device=t.device)).to(t)


def through_the_middle(
    denoise: Denoise,
    x: Tensor,
    t: Tensor,
    s: Tensor,
    eta: float,
    noise: NoiseSource,
    correction: Callable[[Prediction, Prediction, Knots], Tensor],
) -> Tensor:
    """DDIM's step, and `correction` of the answers at t and at the middle, to which DDIM's step leads; then the new
    noise of `eta`. Where there is no middle it is `DDIM(eta)`."""
    here = denoise(x, t)
    k, new = lowered(Knots.of(denoise.schedule, t, s), eta)
    end = ddim(here, k)
    if (m := middle(denoise.schedule, k, t)) is not None:
        there = denoise(ddim(here, Knots.of(denoise.schedule, t, m)), m)
        end = end + correction(here, there, k)
    return end + new * noise(x) if new else end
