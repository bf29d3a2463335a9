"""The exact density of what the probability flow makes: Song et al. 2021, section 4.3 and appendix D.2.

With y = x/(alpha + sigma) and tau = sigma/(alpha + sigma) the flow is dy/dtau = u = eps - x0, finite from end to end,
and along it d log p/dtau = -div u. So log p(x) = log p(x_1) + integral of div u: here the divergence travels with the
picture as further channels, and any sampler that walks upwards on the flow integrates both at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sfumato.denoise import Prediction
from sfumato.gaussian import log_density
from sfumato.noise import KeyedNoise, NoiseSource
from sfumato.picture import BadInput
from sfumato.predict import expand
from sfumato.sample import RK45, Denoise, Sampler, trajectory

Divergence = Callable[[Tensor, Tensor], Tensor]
"""(u, x) -> what each value of x (B, ...) adds to div u: u (B, ...) is a function of x, row by row."""

PRECISE = RK45(rtol=1e-5, atol=1e-5)


def exact(u: Tensor, x: Tensor) -> Tensor:
    """du_i/dx_i for every i, one backward pass each: for data of few dimensions."""
    size = x[0].numel()
    columns = (_gradient(u.flatten(1)[:, i].sum(), x).flatten(1)[:, i] for i in range(size))
    return torch.stack(list(columns), 1).reshape(x.shape)


def hutchinson(noise: NoiseSource, probes: int = 1) -> Divergence:
    """v_i (J^T v)_i with v of random signs, averaged over `probes`: unbiased, `probes` backward passes.

    Hutchinson 1990, Rademacher's signs as in Grathwohl et al. 2019 (FFJORD). They are keyed ("probe", k) and stay the
    same along the whole flow, which keeps it smooth. The error falls as 1/sqrt(probes); it is that of the off-diagonal
    of J alone.
    """

    def shares(u: Tensor, x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for k in range(probes):
            v = torch.where(noise(x, "probe", k) < 0, -1.0, 1.0).to(x)
            total += v * _gradient((u * v).sum(), x)
        return total / probes

    return shares


def log_likelihood(
    denoise: Denoise,
    x: Tensor,
    *,
    divergence: Divergence = exact,
    sampler: Sampler = PRECISE,
    times: Tensor | None = None,
) -> Tensor:
    """log p(x) in nats for pictures x (B, ...): float64 (B,). Song et al. 2021, eq. 39.

    divergence: `exact`, or `hutchinson(noise)` for pictures.
    sampler: `RK45` controls the error of picture and divergence together, for each picture by itself; any other
        deterministic one (`Heun`, ...) takes the steps of the grid.
    times: the knots, given falling as everywhere and walked upwards. From 1 to `schedule.last` in one if not given:
        x is then taken for a picture of that time, as in the paper (1e-5), for no network is asked at t = 0.

    At t = 1 the density is that of the noise that sampling begins with, N(0, alpha^2 + sigma^2). A network that rounds
    its time is a staircase: give it the time "continuous". Raises BadInput for one that has no gradients.
    """
    schedule, size = denoise.schedule, x[0].numel()
    if times is None:
        times = torch.tensor([1.0, schedule.last], dtype=torch.float64)
    alpha, sigma = schedule(times[[0, -1]])
    (top, bottom), spread = (alpha + sigma).tolist(), float(torch.hypot(alpha[0], sigma[0]))
    state = torch.cat([x, torch.zeros_like(x)], 1)
    for step in trajectory(_Diverging(denoise, divergence), sampler, state, times.flip(0), KeyedNoise(()), up=None):
        state = step.x
    ends, grown = (half.double().flatten(1) for half in state.chunk(2, 1))
    prior = log_density(ends, 0.0, 2 * math.log(spread)).sum(1)
    return prior + grown.sum(1) / top + size * math.log(top / bottom)


def in_bits(log_p: Tensor, size: int, levels: int | None = 256) -> Tensor:
    """Bits per dimension of pictures with `size` values from nats of their density: -log_p/(size log 2) - log2(bin).

    bin = 2/(levels - 1), the width of one of `levels` values in [-1, 1]: on `dequantized` pictures that bounds the bits
    of the whole numbers from above (Theis et al. 2016). levels = None leaves the density as it is.
    """
    return -log_p / (size * math.log(2)) - (0 if levels is None else math.log2(2 / (levels - 1)))


def dequantized(x0: Tensor, noise: NoiseSource, levels: int = 256) -> Tensor:
    """Pictures of 8 bits in [-1, 1] spread evenly over their bins: x0 + (u - 1/2) bin, u uniform (key "dequantize")."""
    u = torch.special.ndtr(noise(x0, "dequantize"))
    return x0 + (u - 0.5) * (2 / (levels - 1))


class _Diverging:
    """A denoiser of pictures that carry, in as many channels again, (alpha + sigma) times the divergence so far."""

    def __init__(self, denoise: Denoise, divergence: Divergence) -> None:
        self.denoise, self.divergence, self.schedule = denoise, divergence, denoise.schedule

    def __call__(self, x: Tensor, t: Tensor) -> Prediction:
        x, carried = x.chunk(2, 1)
        alpha, sigma = self.schedule(t)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            p = self.denoise(x, t)
            u = p.eps - p.x0
            if not u.requires_grad:
                raise BadInput("This network gives no gradients, which a likelihood needs: run it with engine eager.")
            slope = expand(alpha + sigma, x) * self.divergence(u, x)
        level, tau = carried / expand(alpha + sigma, x), expand(sigma / (alpha + sigma), x)
        # x = alpha x0 + sigma eps and eps - x0 = slope, as for any picture
        x0 = torch.cat([p.x0.detach(), level - tau * slope], 1)
        eps = torch.cat([p.eps.detach(), level + (1 - tau) * slope], 1)
        return Prediction(torch.cat([x.detach(), carried], 1), x0, eps, alpha, sigma)


def _gradient(y: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(y, x, retain_graph=True)[0]
