"""CLIP guidance: Nichol et al. 2022 (GLIDE), section 2.4; with a CLIP of clean pictures as Crowson does it (2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from sfumato.condition import Condition
from sfumato.denoise import Prediction
from sfumato.guide.gradient import Gradient, carried
from sfumato.guide.interval import ALWAYS, Interval, check
from sfumato.picture import BadInput
from sfumato.predict import expand
from sfumato.schedule import Schedule

Through = Literal["network", "x0"]


class Eye(Protocol):
    """What a CLIP sees of a row on its way: unit vectors (cutouts, B, D), differentiable in x."""

    @property
    def through(self) -> bool: ...

    def __call__(self, current: Prediction, x: Tensor, t: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class NoisedClip:
    """f(x_t): an image tower that was trained on noisy pictures (or latents) of `schedule`. GLIDE's own way.

    tower: (x (B, C, H, W), t (B,)) -> embeddings (B, D), of any length.
    """

    tower: Callable[[Tensor, Tensor], Tensor]
    schedule: Schedule
    through = False

    def __call__(self, current: Prediction, x: Tensor, t: Tensor) -> Tensor:
        return normalize(self.tower(*carried(x, current, t, self.schedule)), dim=-1)[None]


@dataclass(frozen=True, eq=False)
class CleanClip:
    """f(decode(x0)): an ordinary image tower, shown the clean picture that the denoiser expects at x_t.

    tower: pictures (B, 3, H, W) in [-1, 1] -> embeddings (B, D). decode: from the diffusion's space to pictures.
    size: the side, in pixels, of the square pictures that the tower reads; others are resized.
    through: "network" takes the gradient through the denoiser, d x0/d x_t exactly; "x0" stops it at x0 and takes
        d x0/d x_t = alpha/(alpha^2 + sigma^2), the posterior mean's slope for data of unit variance: no backward pass
        through the network, and exact for such a Gaussian.
    cutouts: how many views the likeness is averaged over: the whole picture, then square windows of it between half
        and all of its shorter side, placed by Halton's sequence, the same at every step.
    """

    tower: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    size: int
    mode: Through = "network"
    cutouts: int = 1

    def __post_init__(self) -> None:
        if self.mode not in get_args(Through):
            raise BadInput(f"CLIP guidance goes through {' or '.join(get_args(Through))}, not {self.mode!r}.")
        if self.cutouts < 1:
            raise BadInput(f"CLIP guidance looks at one cutout or more, not {self.cutouts}.")

    @property
    def through(self) -> bool:
        return self.mode == "network"

    def __call__(self, current: Prediction, x: Tensor, t: Tensor) -> Tensor:
        pictures = self.decode(self._x0(current, x))
        views = [interpolate(v, (self.size, self.size), mode="bilinear", antialias=True) for v in self._views(pictures)]
        return torch.stack([normalize(self.tower(view), dim=-1) for view in views])

    def _x0(self, p: Prediction, x: Tensor) -> Tensor:
        if self.mode == "network":
            if not p.x0.requires_grad:
                raise BadInput('This network lets no gradient through: guide with through="x0", or use another engine.')
            return p.x0
        slope = p.alpha / (p.alpha.square() + p.sigma.square())
        return p.x0.detach() + expand(slope, x) * (x - x.detach())  # the value of x0, with the slope in x

    def _views(self, pictures: Tensor) -> list[Tensor]:
        height, width = pictures.shape[-2:]
        views = [pictures]
        for i in range(1, self.cutouts):
            side = round(min(height, width) * (1 + halton(i, 2)) / 2)
            top, left = round((height - side) * halton(i, 3)), round((width - side) * halton(i, 5))
            views.append(pictures[..., top : top + side, left : left + side])
        return views


@dataclass(frozen=True, eq=False)
class ClipGuidance(Gradient):
    """eps - sigma scale grad (logit_scale f . g): climbs the likeness of what CLIP sees, f, and the caption, g.

    Nichol et al. 2022, eq. 8: mu + s Sigma grad (f(x_t) . g(c)), the mean's form for ancestral samplers; every other
    one uses eps as it stands. Seed 004, section 3.2.1; seed 001, "CLIP as a classifier guidance".

    eye: `NoisedClip` (sees x_t; one pass forward and back through the tower) or `CleanClip` (sees x0).
    text: g(c), embeddings (pictures, D), a row for each picture of the run, or one for all.
    scale: 0 is off and costs nothing; 1 is CLIP's own log-odds, logit_scale f . g being its logit.
    logit_scale: CLIP's inverse temperature, 100 in OpenAI's.
    interval: it acts where t lies in it. Near t = 1 a trained tower's gradient is noise, which sigma^2/alpha makes
        large in x0: end before it, at 0.9 for the cosine's table.

    It needs no text that the network was conditioned on: a caption can steer an unconditional model.
    """

    eye: Eye
    text: Tensor
    scale: float = 1.0
    interval: Interval = ALWAYS
    logit_scale: float = 100.0

    def __post_init__(self) -> None:
        check(self.interval)

    @property
    def through(self) -> bool:  # type: ignore[override]
        return self.eye.through

    def log_likelihood(self, current: Prediction, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        f = self.eye(current, x, t)
        g = normalize(self.text.to(f), dim=-1)
        g = g if len(g) == 1 else g[condition.picture.to(g.device)]
        return self.logit_scale * (f * g).sum(-1).mean(0)


def halton(index: int, base: int) -> float:
    """The index-th number in (0, 1) of van der Corput's sequence: the digits of index in `base`, mirrored."""
    value, share = 0.0, 1.0
    while index:
        share /= base
        index, digit = divmod(index, base)
        value += share * digit
    return value
