"""The noising process itself: as a Markov chain between any two times, and as a stochastic differential equation.

Chain (Ho et al. 2020, for any schedule and any s <= t; at the knots of a `Discrete` table s = t - 1/N):

    q(x_t | x_0)      = N(alpha_t x_0, sigma_t^2)                                                  `schedule(t)`
    q(x_t | x_s)      = N(r x_s, beta),              r = alpha_t/alpha_s, beta = sigma_t^2 (1 - q^2)  `transition`
    q(x_s | x_t, x_0) = N(a x_0 + b x_t, beta tilde)                                               `posterior`

with q = alpha_t sigma_s/(sigma_t alpha_s), the ratio of the two kappas. SDE (Song et al. 2021):

    dx = f x dt + g dw                                                                              `sde`
    dx = (f x - (1 + eta^2)/2 g^2 score) dt + eta g dw, t falling                         `reverse_drift`
"""

from __future__ import annotations

from collections.abc import Iterator

from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.predict import expand
from sfumato.schedule import Schedule, diffusion, drift, sde

__all__ = ["chain", "diffusion", "drift", "posterior", "reverse_drift", "sde", "transition"]


def transition(schedule: Schedule, s: Tensor | float, t: Tensor | float) -> tuple[Tensor, Tensor]:
    """The factor r and the variance beta of q(x_t | x_s) = N(r x_s, beta), for s <= t; float64.

    r = alpha_t/alpha_s and beta = sigma_t^2 - r^2 sigma_s^2: between neighbouring knots of a discrete table
    sqrt(1 - beta_t) and beta_t (Ho et al. 2020, eq. 2), from s = 0 alpha_t and sigma_t^2 (eq. 4).

    Raises BadInput where s > t: noise is not taken back.
    """
    (alpha_s, _), (alpha_t, sigma_t), q = _pair(schedule, s, t)
    factor = torch.where(alpha_s == 0, 1.0, alpha_t / torch.where(alpha_s == 0, 1.0, alpha_s))
    return factor, sigma_t.square() * (1 - q) * (1 + q)


def posterior(schedule: Schedule, s: Tensor | float, t: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    """a, b and beta tilde of q(x_s | x_t, x_0) = N(a x_0 + b x_t, beta tilde), for s <= t and t > 0; float64.

    a = alpha_s beta/sigma_t^2, b = r sigma_s^2/sigma_t^2, beta tilde = beta sigma_s^2/sigma_t^2, with the r and beta
    of `transition`: Ho et al. 2020, eq. 6 and 7. Written in q, so that nothing is divided by alpha: where alpha_t = 0,
    x_t says nothing (b = 0); at s = 0 the picture is x_0 (a = 1, b = 0, beta tilde = 0).

    Raises BadInput where s > t, or t = 0.
    """
    (alpha_s, sigma_s), (_, sigma_t), q = _pair(schedule, s, t)
    if bool((sigma_t == 0).any()):
        raise BadInput("The posterior of a step needs noise at its upper end: give t above 0.")
    fresh = (1 - q) * (1 + q)
    return alpha_s * fresh, q * sigma_s / sigma_t, sigma_s.square() * fresh


def chain(schedule: Schedule, x: Tensor, times: Tensor, noise: NoiseSource) -> Iterator[Tensor]:
    """The forward trajectory, step by step: x (B, ...) at times[0], then at each later knot of the rising grid.

    Each knot is drawn from q(x_t | x_s) given the one before (Sohl-Dickstein et al. 2015; Ho et al. 2020, eq. 2), so
    that together they are one path; `schedule.noised` draws a single time at once. Noise is keyed ("forward", i).
    """
    yield x
    for i in range(len(times) - 1):
        factor, variance = transition(schedule, times[i], times[i + 1])
        x = expand(factor, x) * x + expand(variance.sqrt(), x) * noise(x, "forward", i)
        yield x


def reverse_drift(schedule: Schedule, x: Tensor, t: Tensor | float, score: Tensor, eta: float = 1.0) -> Tensor:
    """f x - (1 + eta^2)/2 g^2 score: dx/dt of the reverse process whose noise is eta g; t () or (B,), above 0.

    eta = 1 is the reverse SDE (Anderson 1982; Song et al. 2021, eq. 6), eta = 0 the probability-flow ODE (eq. 13);
    every eta has the same marginals. score = grad log p_t(x) = -eps/sigma.
    """
    f, g2 = sde(schedule, t)
    return expand(f, x) * x - expand((1 + eta**2) / 2 * g2, x) * score


def _pair(
    schedule: Schedule, s: Tensor | float, t: Tensor | float
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
    """(alpha, sigma) at s, at t, and q = alpha_t sigma_s/(sigma_t alpha_s), 1 at s = t."""
    s, t = torch.as_tensor(s, dtype=torch.float64), torch.as_tensor(t, dtype=torch.float64)
    if bool((s > t).any()):
        raise BadInput("A step of the noising process goes up in time: give s <= t.")
    (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule(s), schedule(t)
    below = sigma_t * alpha_s
    q = torch.where(below == 0, 1.0, alpha_t * sigma_s / torch.where(below == 0, 1.0, below))
    return (alpha_s, sigma_s), (alpha_t, sigma_t), torch.where(s == t, 1.0, q).clamp(max=1)
