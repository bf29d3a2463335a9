"""The variational bound of a chain of steps, term by term: -log p(x0) <= L_T + sum L_(t-1) + L_0, in bits/dim.

Sohl-Dickstein et al. 2015; Ho et al. 2020, eq. 5; Nichol & Dhariwal 2021, eq. 4 to 7. A step from t down to s is
p(x_s | x_t) = N(a x0_hat + b x_t, Sigma), with the a and b of `process.posterior`; x0_hat is the denoiser's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sfumato.denoise import Prediction
from sfumato.gaussian import discretized_log_likelihood, kl, log_density
from sfumato.predict import expand
from sfumato.process import posterior, transition
from sfumato.schedule import Schedule


def prior(schedule: Schedule, x0: Tensor, t: Tensor | float = 1.0) -> Tensor:
    """L_T = KL(q(x_t | x0) || N(0, alpha_t^2 + sigma_t^2)), (B,): what the noise still tells of x0 (B, ...).

    Sampling begins from that noise (`edit.NoiseStart`); for a variance-preserving schedule it is N(0, 1).
    """
    alpha, sigma = schedule(t)
    start = 2 * torch.hypot(alpha, sigma).log()
    return _bits(kl(expand(alpha, x0) * x0, expand(2 * sigma.log(), x0), 0.0, expand(start, x0)))


def term(
    schedule: Schedule,
    p: Prediction,
    x0: Tensor,
    s: Tensor | float,
    t: Tensor | float,
    fraction: Tensor | float,
    levels: int | None = None,
) -> Tensor:
    """L_(t-1) = KL(q(x_s | x_t, x0) || p(x_s | x_t)) where s > 0, L_0 = -log p(x0 | x_t) where s = 0; (B,).

    p: what the denoiser says at t of p.x, drawn from q(x_t | x0). s < t: () or (B,).
    fraction: of the variance, log Sigma = v log beta + (1 - v) log beta tilde (Nichol & Dhariwal 2021, eq. 15): 0 is
        "small", 1 "large", p.fraction what the network learned. beta tilde is 0 at s = 0; the next step's stands in,
        as in the papers' code.
    levels: x0 is made of so many values in [-1, 1], 256 for pictures of 8 bits, and L_0 is the probability of its bin
        (Ho et al. 2020, eq. 13); None: x0 is continuous and L_0 a density, which may be negative.
    """
    s, t = (torch.as_tensor(u, dtype=torch.float64) for u in (s, t))
    a, b, _ = posterior(schedule, s, t)
    small, large = (expand(variance.log(), x0) for variance in _variances(schedule, s, t))
    logvar = fraction * large + (1 - fraction) * small
    a, x = expand(a, x0), expand(b, x0) * p.x
    mean = a * p.x0 + x
    divergence = kl(a * x0 + x, small, mean, logvar)
    decoded = log_density(x0, mean, logvar) if levels is None else discretized_log_likelihood(x0, mean, logvar, levels)
    return _bits(torch.where(expand((s > 0).double(), x0) > 0, divergence, -decoded))


def _variances(schedule: Schedule, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """beta tilde, at s = 0 that of the next step (beta where there is none), and beta."""
    large = transition(schedule, s, t)[1]
    after = posterior(schedule, t, (2 * t - s).clamp(max=1))[2]
    first = torch.where(t < 1, after, large)
    return torch.where(s > 0, posterior(schedule, s, t)[2], first), large


def _bits(nats: Tensor) -> Tensor:
    return nats.flatten(1).mean(1) / math.log(2)
