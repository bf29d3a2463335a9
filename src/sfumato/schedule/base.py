"""What a schedule is, and what follows from alpha and sigma alone."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from sfumato.lazy import Tensor, torch
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


def sde(schedule: Schedule, t: Tensor | float) -> tuple[Tensor, Tensor]:
    """f and g^2 of the forward SDE dx = f x dt + g dw whose marginals are the schedule's (Song et al. 2021, eq. 5).

    f = d log alpha/dt and g^2 = d sigma^2/dt - 2 f sigma^2, in the shape of t.
    """
    with torch.enable_grad():
        t = double(t).detach().requires_grad_()
        alpha, sigma = schedule(t)
        slope = torch.autograd.grad(sigma.square().sum(), t, retain_graph=True)[0]
        f = torch.autograd.grad(alpha.log().sum(), t)[0] if alpha.requires_grad else torch.zeros_like(slope)
    return f, slope - 2 * f * sigma.detach().square()


def drift(schedule: Schedule, t: Tensor | float) -> Tensor:
    """f(t) = d log alpha/dt of the forward SDE."""
    return sde(schedule, t)[0]


def diffusion(schedule: Schedule, t: Tensor | float) -> Tensor:
    """g(t)^2 = d sigma^2/dt - 2 f sigma^2 of the forward SDE."""
    return sde(schedule, t)[1]


def double(t: Tensor | float) -> Tensor:
    """A number or tensor in float64 (on the CPU where the device has none)."""
    if not isinstance(t, torch.Tensor):
        return torch.tensor(t, dtype=torch.float64)
    return t.cpu().double() if t.device.type == "mps" else t.double()
