"""Weightings, each stated once for x0 and applied to every parameterization.

At fixed x_t = alpha x0 + sigma eps the errors obey alpha dx0 + sigma deps = 0, hence dF = -(D/sigma) dx0 with
D = alpha q - sigma p. A weight w of the squared error of x0 is therefore the weight w sigma^2/D^2 of the squared
error of F.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from sfumato.element.section import Named, Rate, Section
from sfumato.predict import SIGMA_DATA, Level, coefficients


class Flat(Section):
    """1 for what the network says."""

    kind: Literal["uniform"] = "uniform"


class Simple(Section):
    """1 for the noise, whatever the network says: L_simple, and denoising score matching with lambda = sigma^2."""

    kind: Literal["simple"]


class MinSNR(Section):
    """min(snr, gamma) of x0."""

    kind: Literal["min-snr"]
    gamma: Rate = 5.0


class Sigmoid(Section):
    """sigmoid(bias - log snr) of the noise."""

    kind: Literal["sigmoid"]
    bias: float = -1.0


class EDMWeight(Section):
    """(kappa^2 + sigma_data^2)/(kappa sigma_data)^2 of x0, which is 1 for the network of "edm"."""

    kind: Literal["edm"]


Weighting = Annotated[Flat | Simple | MinSNR | Sigmoid | EDMWeight, Field(discriminator="kind"), Named]


def weight_x0(weighting: Weighting, snr: Tensor, sigma_data: float = SIGMA_DATA) -> Tensor | None:
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
        case Flat():
            return None
        case Simple():
            return snr
        case MinSNR(gamma=gamma):
            return snr.clamp(max=gamma)
        case Sigmoid(bias=bias):
            return torch.exp(torch.nn.functional.logsigmoid(snr.log() - bias) + bias)
        case EDMWeight():
            return snr + 1 / sigma_data**2


def weight(
    parameterization: str,
    weighting: Weighting,
    alpha: Tensor,
    sigma: Tensor,
    sigma_data: float = SIGMA_DATA,
    before: Level | None = None,
) -> Tensor:
    """Weight of |F - F*|^2: w sigma^2/(alpha q - sigma p)^2. At alpha = 0 it is its limit; `before` as in `predict`."""
    alpha = alpha.clamp(min=1e-12)
    w = weight_x0(weighting, (alpha / sigma).square(), sigma_data)
    if w is None:
        return torch.ones_like(alpha)
    p, q = coefficients(parameterization, alpha, sigma, sigma_data=sigma_data, before=before)
    return w * (sigma / (alpha * q - sigma * p)).square()
