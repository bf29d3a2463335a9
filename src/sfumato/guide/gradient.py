"""Guidance by the gradient of a log-likelihood: what classifier and CLIP guidance have in common.

With g = grad log p(y|x_t), Bayes' rule gives the guided score, score(x_t) + s g (Dhariwal & Nichol 2021, section 4):

    eps <- eps - sigma s g                  every sampler that reads eps and x0 (their algorithm 2)
    mu  <- mu + Sigma s g                   ancestral samplers, from `Prediction.shift` = s g (their algorithm 1)

x0 follows from x_t = alpha x0 + sigma eps, so it moves by (sigma^2/alpha) s g. At alpha = 0, where x_t holds nothing
of the picture, g is 0 whatever a trained network says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from sfumato.condition import Condition
from sfumato.denoise import Prediction
from sfumato.guide.guidance import ALWAYS, inside, touches
from sfumato.lazy import Tensor, torch
from sfumato.predict import expand
from sfumato.schedule import Schedule


class Gradient(ABC):
    """A guidance that climbs `scale` log p(y|x_t). It asks for no row of the network; scale 0 is off and costs nothing.

    `through`: whether log p depends on x_t through the denoiser's answer, so that `Guided` has to make its one call
    with gradients: the price is a backward pass and the memory of the network's activations.
    """

    scale: float
    interval: tuple[float, float] = ALWAYS
    through: bool = False

    @abstractmethod
    def log_likelihood(self, current: Prediction, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """log p(y|x_t) of each row up to a constant, (B,), differentiable in x (B, ...); t is () or (B,).

        `current` is what the guidances before it left; it hangs on x only if `through`.
        """

    def fresh(self) -> Gradient:
        return self

    def acts(self, t: Tensor) -> bool:
        """Whether it does anything at t."""
        return self.scale != 0 and touches(self.interval, t)

    def climb(self, current: Prediction, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        """`current`, moved by the gradient. Works under `torch.no_grad`, which stands around a sampler's step."""
        acting = inside(self.interval, t.to(current.alpha.device)) & (current.alpha > 0)
        if self.scale == 0 or not bool(acting.any()):
            return current
        with torch.enable_grad():
            x = x if self.through and x.requires_grad else x.detach().requires_grad_()
            value = self.log_likelihood(current, x, t, condition)
            (g,) = torch.autograd.grad(value.sum(), x, retain_graph=self.through)
        return shifted(current, expand(acting.double() * self.scale, g) * g)


def shifted(p: Prediction, g: Tensor) -> Prediction:
    """p with eps - sigma g, the x0 that follows, and g added to `shift`; g (B, ...) is the scaled gradient."""
    g = g.to(p.eps.dtype)
    moved = p.moved(eps=p.eps - expand(p.sigma, g) * g)
    return replace(moved, shift=g if p.shift is None else p.shift + g)


def carried(x: Tensor, p: Prediction, t: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """x and its time (B,) as `schedule` has them: the same log-SNR, x scaled by sqrt(alpha'^2 + sigma'^2) over p's.

    So a network trained on noise of one schedule reads pictures of any other. Noise beyond the schedule's end is read
    as its end; a picture that is on `schedule` already stays as it is.
    """
    alpha, sigma = p.alpha, p.sigma
    own = schedule(t)
    if not (torch.equal(own[0], alpha) and torch.equal(own[1], sigma)):
        most = _kappa(*schedule(1.0))
        t = schedule.time(torch.minimum(_kappa(alpha, sigma), most)).clamp(0, 1)
        own = schedule(t)
        x = x * expand(torch.hypot(*own) / torch.hypot(alpha, sigma), x)
    return x, t.expand(len(x))


def _kappa(alpha: Tensor, sigma: Tensor) -> Tensor:
    return sigma / alpha.clamp(min=1e-30)
