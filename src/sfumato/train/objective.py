"""The diffusion objective: parameterization x weighting x time distribution.

A network F is trained to F* = p x0 + q eps (`sfumato.predict`), where x_t = alpha x0 + sigma eps. At fixed x_t the
errors obey alpha dx0 + sigma deps = 0, hence dF = -(D / sigma) dx0 with D = alpha q - sigma p. A weight w of the
squared error of x0 is therefore the weight w sigma^2 / D^2 of the squared error of F, for every parameterization:
that is how each weighting below is stated once and applied to all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sfumato.predict import coefficients, expand, target
from sfumato.schedule import Schedule, noised

from . import recipe as r


def weight_x0(weighting: r.Uniform | r.MinSNR | r.Sigmoid, snr: Tensor) -> Tensor | None:
    """Weight of |x0 - x0_hat|^2 at signal-to-noise ratio snr = alpha^2 / sigma^2; None: uniform over F itself.

    - min-SNR-gamma: min(snr, gamma) (Hang et al. 2023, "Efficient diffusion training via min-SNR weighting", eq. 8);
      for eps this is min(snr, gamma) / snr, for v min(snr, gamma) / (snr + 1).
    - sigmoid: snr sigmoid(bias - log snr), i.e. sigmoid(bias - log snr) of the eps error (Kingma and Gao 2023,
      "Understanding diffusion objectives as the ELBO", table 1; Hoogeboom et al. 2024). The density of the log-SNR
      under the time distribution multiplies it, as it does every weighting here.
    """
    match weighting:
        case r.Uniform():
            return None
        case r.MinSNR(gamma=gamma):
            return snr.clamp(max=gamma)
        case r.Sigmoid(bias=bias):
            return torch.exp(torch.nn.functional.logsigmoid(snr.log() - bias) + bias)


def weight(parameterization: str, weighting: r.Uniform | r.MinSNR | r.Sigmoid, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Weight of |F - F*|^2: w sigma^2 / (alpha q - sigma p)^2 (module docstring)."""
    w = weight_x0(weighting, (alpha / sigma).square())
    if w is None:
        return torch.ones_like(alpha)
    p, q = coefficients(parameterization, alpha, sigma)
    return w * (sigma / (alpha * q - sigma * p)).square()


def draw_times(times: r.Uniform | r.LogitNormal | r.Table, n: int, table: int, generator: torch.Generator) -> Tensor:
    """n training times in (0, 1], float64.

    - table: t = (i + 1) / N with i uniform in 0..N-1 (Ho et al. 2020, Alg. 1).
    - uniform: stratified, t_k = (k + u) / n with one u for all (Kingma et al. 2021, "Variational diffusion models",
      appendix I.1): same mean, less variance; the rows are shuffled because n pictures are exchangeable anyway.
    - logit-normal: t = 1 / (1 + exp(-(mean + std z))) (Esser et al. 2024, eq. 19).
    """
    match times:
        case r.Table():
            return (torch.randint(table, (n,), generator=generator).double() + 1) / table
        case r.Uniform():
            u = torch.rand((), generator=generator, dtype=torch.float64)
            return 1 - (torch.arange(n, dtype=torch.float64) + u) / n
        case r.LogitNormal(mean=mean, std=std):
            return torch.sigmoid(mean + std * torch.randn(n, generator=generator).double())


@dataclass(frozen=True)
class Objective:
    """E_t,eps w(t) |F(x_t, t) - (p x0 + q eps)|^2, averaged over elements; `recipe` names the three choices."""

    recipe: r.Objective
    schedule: Schedule

    def __call__(
        self, network: Callable[[Tensor, Tensor], Tensor], x0: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The weighted loss of each row and the times drawn; `network(x_t, t)` answers F. Noise is drawn on the CPU."""
        t = draw_times(self.recipe.times, x0.shape[0], self.recipe.table, generator)
        alpha, sigma = self.schedule(t)
        losses = self.at(network, x0, t, generator)
        return expand(weight(self.recipe.parameterization, self.recipe.weighting, alpha, sigma), losses) * losses, t

    def at(
        self, network: Callable[[Tensor, Tensor], Tensor], x0: Tensor, t: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The unweighted loss of each row at the times t (B,)."""
        eps = torch.randn(x0.shape, generator=generator).to(x0.device)
        answer = network(noised(self.schedule, x0, t, eps), t.to(x0.device)).float()
        goal = target(self.recipe.parameterization, x0, eps, *self.schedule(t))
        return (answer - goal).square().flatten(1).mean(1)
