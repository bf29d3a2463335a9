"""Weightings, each stated once for x0 and applied to every parameterization.

At fixed x_t = alpha x0 + sigma eps the errors obey alpha dx0 + sigma deps = 0, hence dF = -(D/sigma) dx0 with
D = alpha q - sigma p. A weight w of the squared error of x0 is therefore the weight w sigma^2/D^2 of the squared
error of F.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.predict import SIGMA_DATA, coefficients

from .. import recipe as r


def weight_x0(weighting: r.Weighting, snr: Tensor, sigma_data: float = SIGMA_DATA) -> Tensor | None:
    """Weight of |x0 - x0_hat|^2 at signal-to-noise ratio snr = alpha^2/sigma^2; None: uniform over F itself.

    - simple: snr, which is 1 for eps (Ho et al. 2020, eq. 14), sigma^2 for the score (Song & Ermon 2019, eq. 6).
    - min-SNR-gamma: min(snr, gamma) (Hang et al. 2023, "Efficient diffusion training via min-SNR weighting", eq. 8);
      for eps this is min(snr, gamma)/snr, for v min(snr, gamma)/(snr + 1).
    - sigmoid: snr sigmoid(bias - log snr), i.e. sigmoid(bias - log snr) of the eps error (Kingma and Gao 2023,
      "Understanding diffusion objectives as the ELBO", table 1; Hoogeboom et al. 2024). The density of the log-SNR
      under the time distribution multiplies it, as it does every weighting here.
    - edm: lambda = (kappa^2 + sigma_data^2)/(kappa sigma_data)^2 (Karras et al. 2022, table 1), which is 1 for the
      network of "edm".
    """
    match weighting:
        case r.Uniform():
            return None
        case r.Simple():
            return snr
        case r.MinSNR(gamma=gamma):
            return snr.clamp(max=gamma)
        case r.Sigmoid(bias=bias):
            return torch.exp(torch.nn.functional.logsigmoid(snr.log() - bias) + bias)
        case r.EDMWeight():
            return snr + 1 / sigma_data**2


def weight(
    parameterization: str, weighting: r.Weighting, alpha: Tensor, sigma: Tensor, sigma_data: float = SIGMA_DATA
) -> Tensor:
    """Weight of |F - F*|^2: w sigma^2/(alpha q - sigma p)^2. At alpha = 0 it is its limit."""
    alpha = alpha.clamp(min=1e-12)
    w = weight_x0(weighting, (alpha / sigma).square(), sigma_data)
    if w is None:
        return torch.ones_like(alpha)
    p, q = coefficients(parameterization, alpha, sigma, sigma_data=sigma_data)
    return w * (sigma / (alpha * q - sigma * p)).square()
