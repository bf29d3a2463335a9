"""Denoisers: (x, t, condition) -> Prediction of the clean picture and of the noise.

`Preconditioned` makes one of a network. `GaussianMixture` and `Gaussian` are exact: for them the posterior mean, the
score and the density of every marginal are known in closed form, on points as on pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from sfumato import predict
from sfumato.condition import Condition, Label, Part
from sfumato.lazy import Tensor, torch
from sfumato.predict import expand
from sfumato.schedule import Discrete, Schedule


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a denoiser says about x = alpha x0 + sigma eps: E[x0 | x] and E[eps | x], both kept.

    x, x0, eps (B, ...) in float32 or float64; alpha, sigma () or (B,). `fraction` (like x) is a learned variance in
    [0, 1], 0 = the posterior's beta tilde, 1 = beta (Nichol & Dhariwal 2021, eq. 15). `shift` is grad log p(y|x),
    already inside x0 and eps (Dhariwal & Nichol 2021).
    """

    x: Tensor
    x0: Tensor
    eps: Tensor
    alpha: Tensor
    sigma: Tensor
    fraction: Tensor | None = None
    shift: Tensor | None = None

    def moved(self, *, x0: Tensor | None = None, eps: Tensor | None = None) -> Prediction:
        """The prediction with another x0 or eps. One given: the other follows from x. Both given: both kept.

        The other moves by alpha/sigma (or sigma/alpha) times the *change*, which solves x = alpha x0 + sigma eps too,
        but leaves eps as it is, to the bit, where x0 does not change. Where sigma (or alpha) is 0 the other is not
        determined by x and stays.
        """
        if x0 is not None and eps is None:
            eps = self.eps - _ratio(self.alpha, self.sigma, self.x) * (x0 - self.x0)
        elif eps is not None and x0 is None:
            x0 = self.x0 - _ratio(self.sigma, self.alpha, self.x) * (eps - self.eps)
        x0, eps = self.x0 if x0 is None else x0, self.eps if eps is None else eps
        return Prediction(self.x, x0, eps, self.alpha, self.sigma, self.fraction, self.shift)

    def select(self, index: Tensor | slice) -> Prediction:
        """Some rows."""
        alpha, sigma = (a[index] if a.ndim else a for a in (self.alpha, self.sigma))
        fraction, shift = (None if a is None else a[index] for a in (self.fraction, self.shift))
        return Prediction(self.x[index], self.x0[index], self.eps[index], alpha, sigma, fraction, shift)


class Denoiser(Protocol):
    """E[x0 | x_t]. t is () or (B,)."""

    @property
    def schedule(self) -> Schedule: ...

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction: ...


class Backbone(Protocol):
    """The network F, whatever runs it. It gets x (B, C, ...), its own time (B,) and the condition."""

    accepts: Mapping[type[Part], int]
    differentiable: bool

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor: ...


@dataclass(frozen=True)
class Bound:
    """A denoiser with its condition given: what samplers see. (x, t) -> Prediction."""

    denoiser: Denoiser
    condition: Condition

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x: Tensor, t: Tensor, told: Tensor | None = None) -> Prediction:
        """told: the time whose condition it is, where that is not t."""
        return self.denoiser(x, t, self.condition.at(t if told is None else told))


def bind(denoiser: Denoiser, condition: Condition) -> Bound:
    """denoise = bind(denoiser, condition), so that denoise(x, t) is a Prediction."""
    return Bound(denoiser, condition)


TIMES = ("rounded", "continuous", "t", "sigma", "edm")


class Preconditioned:
    """A denoiser from a network: its output F turned into x0 and eps by one parameterization, both in float32.

    backbone: (x, time (B,), condition) -> F, of any precision.
    parameterization: a name of `sfumato.predict`.
    time: what the network is told, from t:
        "rounded"     round(t N - 1), a whole index, as a float32 (discrete schedules; floor would miss 5 of 1000); for
                      "mu" continuous all the same, for rounding is half as long as the step whose mean it is
        "continuous"  t N - 1 unrounded, not below 0
        "t"           t itself
        "sigma"       sigma(t), what networks of flow matching are told, whatever the size's shift
        "edm"         log(kappa)/4, c_noise of Karras et al. 2022
        or a function of t (B,) float64.
    learned_variance: the network has twice the channels; the second half v in [-1, 1] becomes fraction (v + 1)/2.
    scaled: the network sees c_in x, c_in = 1/sqrt(alpha^2 sigma_data^2 + sigma^2) (Karras et al. 2022, table 1); "edm"
        networks do unless told otherwise, others do not.
    sigma_data: the data's standard deviation, of "edm" and of c_in.
    consistency: x0 is where the probability flow through x ends, not E[x0 | x]: a consistency function, which refuses
        every sampler but `Consistency` (Song et al. 2023).
    boundary: x0 is c_out x0 + c_skip x, which makes f(x, 0) = x: with s the network's time scaled by it,
        c_skip = sigma_data^2/(s^2 + sigma_data^2), c_out = s/sqrt(s^2 + sigma_data^2) (Luo et al. 2023, section 4.1).
    """

    def __init__(
        self,
        backbone: Callable[[Tensor, Tensor, Condition], Tensor],
        schedule: Schedule,
        parameterization: str = "eps",
        time: str | Callable[[Tensor], Tensor] = "rounded",
        *,
        learned_variance: bool = False,
        sigma_data: float = predict.SIGMA_DATA,
        scaled: bool | None = None,
        consistency: bool = False,
        boundary: float | None = None,
    ) -> None:
        if parameterization not in predict.NAMES:
            predict.coefficients(parameterization, 0.6, 0.8)  # refuses by name
        if isinstance(time, str) and time not in TIMES:
            raise ValueError(f"Unknown network time {time!r}: choose one of {', '.join(TIMES)}, or pass a function.")
        if parameterization == "mu" and not hasattr(schedule, "count"):
            raise ValueError('The parameterization "mu" is the mean of a step of a table: give a discrete schedule.')
        if time in ("rounded", "continuous") and not hasattr(schedule, "index"):
            raise ValueError(f'Network time "{time}" needs a discrete schedule: use "t", "edm" or a function.')
        self.backbone = backbone
        self.schedule = schedule
        self.parameterization = parameterization
        self.time = "continuous" if parameterization == "mu" and time == "rounded" else time
        self.learned_variance = learned_variance
        self.sigma_data = sigma_data
        self.consistency = consistency
        self.boundary = boundary
        self.scaled = parameterization == "edm" if scaled is None else scaled

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        alpha, sigma = self.schedule(torch.as_tensor(t, dtype=torch.float64))
        F = self.output(x, t, condition)
        fraction = None
        if self.learned_variance:
            F, v = F.chunk(2, dim=1)
            fraction = (v.float() + 1) / 2
        if F.shape != x.shape:
            raise ValueError(f"The network answered {tuple(F.shape)} to a picture of shape {tuple(x.shape)}.")
        before = predict.before(self.parameterization, self.schedule, t)
        x0, eps = predict.split(self.parameterization, F, x, alpha, sigma, sigma_data=self.sigma_data, before=before)
        said = Prediction(x.to(x0.dtype), x0, eps, alpha, sigma, fraction)
        return said if self.boundary is None else said.moved(x0=self._bounded(x0, x, torch.as_tensor(t)))

    def _bounded(self, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """c_out x0 + c_skip x."""
        scaled = (self._times(t.double(), len(x)) * self.boundary).double()  # type: ignore[operator]
        norm = torch.hypot(scaled, torch.full_like(scaled, self.sigma_data))
        return expand(scaled / norm, x0) * x0 + expand((self.sigma_data / norm).square(), x0) * x.to(x0)

    def output(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """F as the network says it, (B, C or 2C, ...): what an objective compares with its target."""
        t = torch.as_tensor(t, dtype=torch.float64)
        return self.backbone(self._scaled(x, t), self._times(t, len(x)).to(x.device), condition)

    def _times(self, t: Tensor, rows: int) -> Tensor:
        """The network's own time, (rows,) float32."""
        if not isinstance(self.time, str):
            own = self.time(t).float()
        elif t.ndim or t.requires_grad or not isinstance(self.schedule, Discrete):
            own = _own_time(self.schedule, self.time, t)
        else:
            own = _own_time_at(self.schedule, self.time, t.item())
        return own.expand(rows)

    def _scaled(self, x: Tensor, t: Tensor) -> Tensor:
        if not self.scaled:
            return x
        alpha, sigma = self.schedule(t)
        return x * expand(1 / torch.hypot(alpha * self.sigma_data, sigma), x)


def _own_time(schedule: Any, time: str, t: Tensor) -> Tensor:
    """What a network is told of t, in float32."""
    match time:
        case "rounded":
            own = schedule.index(t).round().clamp(min=0)
        case "continuous":
            own = schedule.index(t).clamp(min=0)
        case "t":
            own = t
        case "sigma":
            own = schedule(t)[1]
        case _:
            alpha, sigma = schedule(t)
            own = (sigma / alpha).log() / 4
    return own.float()


@lru_cache(maxsize=4096)
def _own_time_at(schedule: Discrete, time: str, t: float) -> Tensor:
    """The same at one time: every step of every run asks for one of the same few."""
    with torch.inference_mode(False):
        return _own_time(schedule, time, torch.tensor(t, dtype=torch.float64, device="cpu"))


def _ratio(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """a/b to multiply x, and 0 where b is 0."""
    return expand(torch.where(b == 0, 0.0, a / torch.where(b == 0, 1.0, b)), x)


class GaussianMixture:
    """The exact denoiser of data drawn from sum_k w_k N(mu_k, S_k), in float64.

    means: (K, *shape) of points or pictures. covariance: a variance; (K,) variances; (K, *shape) diagonals; or
    (K, d, d) full with d = prod(shape). weights: (K,), equal if not given. labels: (K,) classes of the components: a
    `Label` in the condition then keeps only the components of its class (all of them for its "none").

    The marginal at (alpha, sigma) is the mixture of N(alpha mu_k, C_k), C_k = alpha^2 S_k + sigma^2 I; with
    responsibilities r_k and w_k = C_k^-1 (x - alpha mu_k):
    E[x0|x] = sum r_k (mu_k + alpha S_k w_k), E[eps|x] = sigma sum r_k w_k, score = -sum r_k w_k. Nothing is divided by
    alpha or sigma.
    """

    def __init__(
        self,
        schedule: Schedule,
        means: Tensor,
        covariance: Tensor | float,
        weights: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> None:
        self.schedule = schedule
        self.shape = tuple(means.shape[1:])
        self.means = means.double().flatten(1)
        count, size = self.means.shape
        covariance = torch.as_tensor(covariance, dtype=torch.float64)
        self.axes: Tensor | None = None  # (K, d, d): eigenvectors of a full covariance
        if covariance.ndim <= 1:
            self.variances = covariance.reshape(-1, 1).expand(count, size)
        elif covariance.shape == (count, size, size):
            self.variances, self.axes = torch.linalg.eigh(covariance)
        elif covariance.shape == means.shape:
            self.variances = covariance.flatten(1)
        else:
            raise ValueError(
                f"A covariance of shape {tuple(covariance.shape)} does not fit {tuple(means.shape)} means."
            )
        if bool((self.variances < 0).any()):
            raise ValueError("A covariance must not have a negative eigenvalue.")
        weights = torch.ones(count) if weights is None else torch.as_tensor(weights)
        self.log_weights = (weights.double() / weights.double().sum()).log()
        self.labels = labels

    def __call__(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Prediction:
        alpha, sigma = self.schedule(t)
        w, r, _ = self._posterior(x, alpha, sigma, condition)
        a, s = _column(alpha), _column(sigma)
        x0 = (r[..., None] * (self.means + a * self._turned(self.variances * w))).sum(1)
        eps = s[:, 0] * (r[..., None] * self._turned(w)).sum(1)
        kind = x.dtype if x.dtype == torch.float64 else torch.float32
        return Prediction(x.to(kind), x0.reshape(x.shape).to(kind), eps.reshape(x.shape).to(kind), alpha, sigma)

    def log_density(self, x: Tensor, t: Tensor | float = 0.0, condition: Condition | None = None) -> Tensor:
        """log p_t(x) in nats, (B,)."""
        return self._posterior(x, *self.schedule(t), condition)[2]

    def score(self, x: Tensor, t: Tensor | float = 0.0, condition: Condition | None = None) -> Tensor:
        """grad log p_t(x), in the shape of x."""
        w, r, _ = self._posterior(x, *self.schedule(t), condition)
        return -(r[..., None] * self._turned(w)).sum(1).reshape(x.shape)

    def draw(self, count: int, seed: int = 0) -> Tensor:
        """Data: (count, *shape) float64."""
        generator = torch.Generator().manual_seed(seed)
        k = torch.multinomial(self.log_weights.exp(), count, replacement=True, generator=generator)
        z = torch.randn(count, self.means.shape[1], generator=generator, dtype=torch.float64)
        offset = z * self.variances[k].sqrt()
        if self.axes is not None:
            offset = torch.einsum("ned,nd->ne", self.axes[k], offset)
        return (self.means[k] + offset).reshape(count, *self.shape)

    def _posterior(
        self, x: Tensor, alpha: Tensor, sigma: Tensor, condition: Condition | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """C_k^-1 (x - alpha mu_k) along the axes (B, K, d), responsibilities (B, K) and log density (B,)."""
        a, s = _column(alpha), _column(sigma)
        offset = x.double().flatten(1)[:, None] - a * self.means
        if self.axes is not None:
            offset = torch.einsum("bkd,kde->bke", offset, self.axes)
        variance = (a.square() * self.variances + s.square()).clamp(min=1e-300)
        w = offset / variance
        log_joint = self._log_prior(condition) - (offset * w + variance.log() + math.log(2 * math.pi)).sum(-1) / 2
        return w, log_joint.softmax(-1), log_joint.logsumexp(-1)

    def _log_prior(self, condition: Condition | None) -> Tensor:
        label = None if condition is None else condition.get(Label)
        if label is None or self.labels is None:
            return self.log_weights
        ids = label.ids[:, None]
        kept = (ids == self.labels) | (ids == label.none)
        return torch.where(kept, self.log_weights, -torch.inf).log_softmax(-1)

    def _turned(self, w: Tensor) -> Tensor:
        return w if self.axes is None else torch.einsum("bke,kde->bkd", w, self.axes)


class Gaussian(GaussianMixture):
    """The exact denoiser of N(mean, covariance), whose probability flow is known too.

    mean (*shape); covariance a variance, (*shape) diagonal or (d, d) full.
    """

    def __init__(self, schedule: Schedule, mean: Tensor, covariance: Tensor | float) -> None:
        covariance = torch.as_tensor(covariance, dtype=torch.float64)
        super().__init__(schedule, mean[None], covariance[None])

    def flow(self, x: Tensor, t: Tensor | float, s: Tensor | float) -> Tensor:
        """Where the probability-flow ODE carries x from t to s: alpha_s mu + (C_s/C_t)^(1/2) (x - alpha_t mu)."""
        (alpha_t, sigma_t), (alpha_s, sigma_s) = self.schedule(t), self.schedule(s)
        scale = torch.sqrt(
            (alpha_s.square() * self.variances + sigma_s.square())
            / (alpha_t.square() * self.variances + sigma_t.square())
        )
        w = (x.double().flatten(1) - alpha_t * self.means)[:, None]
        if self.axes is not None:
            w = torch.einsum("bkd,kde->bke", w, self.axes)
        return (alpha_s * self.means + self._turned(scale * w)[:, 0]).reshape(x.shape).to(x.dtype)


def _column(a: Tensor) -> Tensor:
    """() or (B,) -> (1 or B, 1, 1)."""
    return a.reshape(-1, 1, 1)
