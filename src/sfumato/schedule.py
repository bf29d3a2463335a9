"""Noise schedules: x_t = alpha(t) x0 + sigma(t) eps for t in [0, 1], 0 clean, 1 noise.

Everything is float64, sigma goes through expm1 or sines (sqrt(1 - alpha^2) loses every digit at small t), and
schedule(0) is exactly (1, 0). `time` inverts kappa = sigma/alpha in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from sfumato.predict import expand


@runtime_checkable
class Schedule(Protocol):
    """alpha(t) and sigma(t), and the time at which sigma/alpha takes a value. t is any shape; results are float64."""

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]: ...

    def time(self, kappa: Tensor | float) -> Tensor:
        """The t at which sigma(t)/alpha(t) = kappa."""
        ...

    @property
    def last(self) -> float:
        """The smallest time at which a network is usefully asked: log-SNR grids end there, and then at 0."""
        ...


def noised(schedule: Schedule, x0: Tensor, t: Tensor | float, eps: Tensor) -> Tensor:
    """alpha(t) x0 + sigma(t) eps, in the dtype of x0; t is () or (B,)."""
    alpha, sigma = schedule(t)
    return expand(alpha, x0) * x0 + expand(sigma, x0) * eps


def log_snr(schedule: Schedule, t: Tensor | float) -> Tensor:
    """log(alpha^2/sigma^2): plus infinity at t = 0, minus infinity where alpha = 0."""
    alpha, sigma = schedule(t)
    return 2 * (alpha.log() - sigma.log())


def drift(schedule: Schedule, t: Tensor | float) -> Tensor:
    """f(t) = d log alpha / dt of the forward SDE dx = f x dt + g dw (Song et al. 2021, eq. 5)."""
    with torch.enable_grad():
        t = _double(t).detach().requires_grad_()
        alpha, _ = schedule(t)
        if not alpha.requires_grad:
            return torch.zeros_like(t)
        return torch.autograd.grad(alpha.log().sum(), t)[0]


def diffusion(schedule: Schedule, t: Tensor | float) -> Tensor:
    """g(t)^2 = d sigma^2/dt - 2 f sigma^2 of the forward SDE dx = f x dt + g dw."""
    with torch.enable_grad():
        u = _double(t).detach().requires_grad_()
        _, sigma = schedule(u)
        slope = torch.autograd.grad(sigma.square().sum(), u)[0]
    return slope - 2 * drift(schedule, u) * sigma.detach().square()


class Discrete:
    """The schedule of a network trained on N steps: exact at the knots t = (i + 1)/N, and (1, 0) at t = 0.

    Between knots the angle phi = atan(sigma/alpha) is linear in t: alpha = cos phi, sigma = sin phi. It is finite from
    end to end, so that tables whose last alpha is 0 (zero terminal SNR, Lin et al. 2023) need no special case, it
    stays variance-preserving, and its inverse is closed.
    """

    def __init__(self, betas: Tensor) -> None:
        betas = torch.as_tensor(betas, dtype=torch.float64)
        if betas.ndim != 1 or len(betas) < 1 or not bool(((betas > 0) & (betas <= 1)).all()):
            raise ValueError("A discrete schedule needs a list of betas in (0, 1].")
        log_alpha_bar = torch.log1p(-betas).cumsum(0)
        alpha, sigma = torch.exp(log_alpha_bar / 2), torch.sqrt(-torch.expm1(log_alpha_bar))
        self.count = len(betas)
        self.phi = torch.cat([torch.zeros(1, dtype=torch.float64), torch.atan2(sigma, alpha)])
        if betas[-1] == 1:
            self.phi[-1] = math.pi / 2

    @classmethod
    def named(
        cls,
        name: str = "linear",
        count: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        *,
        zero_terminal: bool = False,
    ) -> Discrete:
        """The tables that checkpoints use, under the names of diffusers' `beta_schedule`.

        "linear": beta linear (Ho et al. 2020). "scaled_linear": sqrt(beta) linear (Stable Diffusion: 0.00085 to 0.012).
        "squaredcos_cap_v2": alpha_bar = cos^2 with beta at most 0.999 (Nichol & Dhariwal 2021, eq. 17).
        `zero_terminal` rescales so that the last alpha is 0 (Lin et al. 2023, alg. 1).
        """
        if count < 1:
            raise ValueError(f"A discrete schedule needs at least one step, not {count}.")
        match name:
            case "linear":
                betas = torch.linspace(beta_start, beta_end, count, dtype=torch.float64)
            case "scaled_linear":
                betas = torch.linspace(beta_start**0.5, beta_end**0.5, count, dtype=torch.float64).square()
            case "squaredcos_cap_v2":
                knots = torch.linspace(0, 1, count + 1, dtype=torch.float64)
                alpha_bar = torch.cos((knots + 0.008) / 1.008 * math.pi / 2).square()
                betas = (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
            case _:
                raise ValueError(
                    f"Unknown beta schedule {name!r}: choose linear, scaled_linear or squaredcos_cap_v2, or pass betas."
                )
        return cls(_zero_terminal(betas) if zero_terminal else betas)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Discrete:
        """The schedule that a diffusers `scheduler_config.json` describes."""
        betas = config.get("trained_betas")
        zero_terminal = bool(config.get("rescale_betas_zero_snr", False))
        if betas is not None:
            betas = torch.as_tensor(betas, dtype=torch.float64)
            return cls(_zero_terminal(betas) if zero_terminal else betas)
        return cls.named(
            config.get("beta_schedule", "linear"),
            int(config.get("num_train_timesteps", 1000)),
            float(config.get("beta_start", 1e-4)),
            float(config.get("beta_end", 0.02)),
            zero_terminal=zero_terminal,
        )

    @property
    def last(self) -> float:
        return 1 / self.count

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _double(t)
        phi = self.phi.to(t.device)
        place = t.clamp(0, 1) * self.count
        i = place.detach().floor().clamp(max=self.count - 1).long()
        angle = torch.lerp(phi[i], phi[i + 1], place - i)
        alpha = torch.where(angle == math.pi / 2, 0.0, torch.cos(angle))
        return alpha, torch.sin(angle)

    def time(self, kappa: Tensor | float) -> Tensor:
        angle = torch.atan(_double(kappa))
        phi = self.phi.to(angle.device)
        angle = angle.clamp(max=phi[-1])
        i = (torch.searchsorted(phi, angle.detach(), right=True) - 1).clamp(0, self.count - 1)
        return (i + (angle - phi[i]) / (phi[i + 1] - phi[i])) / self.count

    def index(self, t: Tensor | float) -> Tensor:
        """t N - 1, the network's index as a real number: 0 at the first knot, N - 1 at t = 1."""
        return _double(t) * self.count - 1

    def __repr__(self) -> str:
        return f"Discrete(count={self.count}, kappa up to {math.tan(float(self.phi[-1])):.4g})"


@dataclass(frozen=True)
class VPLinear:
    """Variance-preserving with beta(t) linear: alpha^2 = exp(-L), L = beta_min t + (beta_max - beta_min) t^2/2.

    Song et al. 2021, eq. 33: the continuous limit of Ho et al.'s linear table.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    last: float = 1e-3

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _double(t)
        L = self.beta_min * t + (self.beta_max - self.beta_min) * t.square() / 2
        return torch.exp(-L / 2), torch.sqrt(-torch.expm1(-L))

    def time(self, kappa: Tensor | float) -> Tensor:
        L = torch.log1p(_double(kappa).square())
        return 2 * L / (self.beta_min + torch.sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * L))


@dataclass(frozen=True)
class Cosine:
    """alpha = cos(u)/cos(u_0) with u = pi/2 (t + s)/(1 + s): Nichol & Dhariwal 2021, eq. 17, unclipped; alpha(1) = 0.

    sigma^2 = sin(u + u_0) sin(u - u_0)/cos^2(u_0), the same thing without cancellation.
    """

    s: float = 0.008
    last: float = 1e-3

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _double(t)
        start, turn = self._start, math.pi / 2 * t / (1 + self.s)
        alpha = torch.sin(math.pi / 2 * (1 - t) / (1 + self.s)) / math.cos(start)
        alpha = torch.where(t == 0, 1.0, alpha)
        return alpha, torch.sqrt(torch.sin(turn + 2 * start) * torch.sin(turn)) / math.cos(start)

    def time(self, kappa: Tensor | float) -> Tensor:
        angle = torch.atan(_double(kappa))
        sine, cosine = torch.sin(angle), torch.cos(angle)
        a, b = math.sin(self._start), math.cos(self._start)
        root = torch.sqrt((a * cosine).square() + sine.square())  # cos(angle) cos(u_0) tan(u)
        turn = torch.atan2(sine.square() / (b * (root + a * cosine)), cosine + a * root / b**2)
        return turn * (1 + self.s) / (math.pi / 2)

    @property
    def _start(self) -> float:
        return math.pi / 2 * self.s / (1 + self.s)


@dataclass(frozen=True)
class VE:
    """Variance-exploding: alpha = 1, sigma = sigma_min sqrt(r^(2t) - 1), r = sigma_max/sigma_min.

    Song et al. 2021, eq. 30, with its start moved so that sigma(0) is 0 and strength 0 changes nothing.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _double(t)
        return torch.ones_like(t), self.sigma_min * torch.sqrt(torch.expm1(2 * t * self._log_ratio))

    def time(self, kappa: Tensor | float) -> Tensor:
        return torch.log1p((_double(kappa) / self.sigma_min).square()) / (2 * self._log_ratio)

    @property
    def last(self) -> float:
        return float(self.time(self.sigma_min))

    @property
    def _log_ratio(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class Flow:
    """The straight line of flow matching: alpha = 1 - u, sigma = u, u = shift t/(1 + (shift - 1) t).

    Lipman et al. 2023, Liu et al. 2023; the shift for larger pictures is Esser et al. 2024, eq. 23.
    """

    shift: float = 1.0
    last: float = 1e-3

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _double(t)
        whole = 1 + (self.shift - 1) * t
        return (1 - t) / whole, self.shift * t / whole

    def time(self, kappa: Tensor | float) -> Tensor:
        return 1 / (1 + self.shift / _double(kappa))


@dataclass(frozen=True)
class EDM:
    """alpha = 1, sigma = sigma_max t^rho: uniform steps in t are the steps of Karras et al. 2022, eq. 5.

    rho = 7 makes t a fair measure of how much is left of a picture; sigma = 80 t would make strength 0.5 mean
    sigma = 40, where nothing is left.
    """

    sigma_max: float = 80.0
    rho: float = 7.0
    sigma_min: float = 0.002

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _double(t)
        return torch.ones_like(t), self.sigma_max * t**self.rho

    def time(self, kappa: Tensor | float) -> Tensor:
        return (_double(kappa) / self.sigma_max) ** (1 / self.rho)

    @property
    def last(self) -> float:
        return float(self.time(self.sigma_min))


def _zero_terminal(betas: Tensor) -> Tensor:
    """Betas whose last alpha is 0 and whose first is kept: Lin et al. 2023, algorithm 1."""
    alpha = torch.cumprod(1 - betas, 0).sqrt()
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    alpha_bar = alpha.square()
    return 1 - torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])


def _double(t: Tensor | float) -> Tensor:
    """A number or tensor in float64 (on the CPU where the device has none)."""
    if not isinstance(t, Tensor):
        return torch.tensor(t, dtype=torch.float64)
    return t.cpu().double() if t.device.type == "mps" else t.double()
