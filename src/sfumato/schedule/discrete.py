"""Discrete tables, as checkpoints have them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sfumato.lazy import Tensor, torch
from sfumato.schedule.base import double


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

    def shifted(self, factor: float) -> Discrete:
        """The table with kappa multiplied by `factor` at every knot: see `sfumato.schedule.shifted`."""
        moved = copy.copy(self)
        moved.phi = torch.atan2(factor * torch.sin(self.phi), torch.cos(self.phi))
        if self.phi[-1] == math.pi / 2:
            moved.phi[-1] = math.pi / 2
        return moved

    @property
    def last(self) -> float:
        return 1 / self.count

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        if isinstance(t, torch.Tensor) and (t.ndim or t.requires_grad or t.device.type != "cpu"):
            return self.levels(double(t))
        return _levels_at(self, float(t))

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma at t, worked out."""
        phi = self.phi.to(t.device)
        place = t.clamp(0, 1) * self.count
        i = (place.detach().ceil() - 1).clamp(min=0).long()  # a knot belongs to the step that leads up to it
        angle = torch.lerp(phi[i], phi[i + 1], place - i)
        alpha = torch.where(angle == math.pi / 2, 0.0, torch.cos(angle))
        return alpha, torch.sin(angle)

    def time(self, kappa: Tensor | float) -> Tensor:
        angle = torch.atan(double(kappa))
        phi = self.phi.to(angle.device)
        angle = angle.clamp(max=phi[-1])
        i = (torch.searchsorted(phi, angle.detach(), right=True) - 1).clamp(0, self.count - 1)
        return (i + (angle - phi[i]) / (phi[i + 1] - phi[i])) / self.count

    def index(self, t: Tensor | float) -> Tensor:
        """t N - 1, the network's index as a real number: 0 at the first knot, N - 1 at t = 1."""
        return double(t) * self.count - 1

    def __repr__(self) -> str:
        return f"Discrete(count={self.count}, kappa up to {math.tan(float(self.phi[-1])):.4g})"


@lru_cache(maxsize=4096)
def _levels_at(schedule: Discrete, t: float) -> tuple[Tensor, Tensor]:
    """alpha and sigma at one time: samplers and denoisers ask for the same few again and again."""
    with torch.inference_mode(False):
        return schedule.levels(torch.tensor(t, dtype=torch.float64, device="cpu"))


def _zero_terminal(betas: Tensor) -> Tensor:
    """Betas whose last alpha is 0 and whose first is kept: Lin et al. 2023, algorithm 1."""
    alpha = torch.cumprod(1 - betas, 0).sqrt()
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    alpha_bar = alpha.square()
    return 1 - torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])
