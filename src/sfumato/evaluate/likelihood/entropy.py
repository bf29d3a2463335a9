"""How uncertain a reverse step is: Sohl-Dickstein et al. 2015, and the truth on Gaussian data."""

from __future__ import annotations

import math

from torch import Tensor

from sfumato.denoise import Gaussian
from sfumato.process import posterior, transition
from sfumato.schedule import Schedule


def conditional_entropy_bounds(
    schedule: Schedule, s: Tensor | float, t: Tensor | float, size: int = 1
) -> tuple[Tensor, Tensor]:
    """The lower and the upper bound on H_q(X_s | X_t), 0 < s < t, in nats for `size` values.

        H(X_t | X_s) + H(X_s | X_0) - H(X_t | X_0)  <=  H(X_s | X_t)  <=  H(X_t | X_s)

    Sohl-Dickstein et al. 2015, section 2.6 and appendix A. Every entropy there is a Gaussian's,
    size/2 log(2 pi e variance): the upper one has the variance beta, the lower one beta sigma_s^2/sigma_t^2, the
    posterior's beta tilde, so that these are the two variances of Ho et al. 2020, section 3.2. The upper bound holds
    where noising does not lower the entropy, H(X_s) <= H(X_t): always for a variance-exploding schedule; for a
    variance-preserving one on data whose variance along no axis exceeds 1; not where a schedule first shrinks x.

    Raises BadInput where s > t.
    """
    beta, tilde = transition(schedule, s, t)[1], posterior(schedule, s, t)[2]
    return _entropy(tilde) * size, _entropy(beta) * size


def conditional_entropy(data: Gaussian, s: Tensor | float, t: Tensor | float) -> Tensor:
    """H_q(X_s | X_t) of Gaussian data, in nats: along each axis of variance v the conditional variance is that of
    V_s = alpha_s^2 v + sigma_s^2 known from r V_s + beta, which is V_s beta/V_t.
    """
    (alpha_s, sigma_s), (alpha_t, sigma_t) = data.schedule(s), data.schedule(t)
    beta = transition(data.schedule, s, t)[1]
    V_s = alpha_s.square() * data.variances[0] + sigma_s.square()
    V_t = alpha_t.square() * data.variances[0] + sigma_t.square()
    return _entropy(V_s * beta / V_t).sum()


def _entropy(variance: Tensor) -> Tensor:
    """Of a Gaussian, in nats."""
    return (2 * math.pi * math.e * variance).log() / 2
