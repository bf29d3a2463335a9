"""Every guidance that there is with every sampler: the pictures come to stand where guided ones do."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato.condition import Attention, Concat, Condition, GuidanceScale, Label, Layout
from sfumato.denoise import Prediction, bind
from sfumato.guide import Guidance, Guided
from sfumato.guide.auto_guidance import AutoGuided
from sfumato.guide.gradient import Gradient
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.predict import expand
from sfumato.sample import Langevin, Sampler, trajectory
from sfumato.schedule import Cosine
from sfumato.times import grid

SCHEDULE, VARIANCE, ROWS = Cosine(), 0.3, 12
named = Guidance.registry.named


class Pictures:
    """The exact denoiser of pictures N(mean, 0.3), whose mean is what the condition tells: 0.5 for a class, 0.4 for
    planes of 1 or a layout of 1, 0.1 of a scale that is told, and 0.5 less with attention perturbed."""

    def __init__(self, told: float = 0.5) -> None:
        self.schedule, self.told = SCHEDULE, told

    def mean(self, condition: Condition) -> Tensor:
        mean = torch.zeros(condition.rows, dtype=torch.float64)
        if label := condition.get(Label):
            mean += self.told * (label.ids != label.none)
        for kind, field in ((Concat, "planes"), (Layout, "planes")):
            if (part := condition.get(kind)) is not None:
                mean += 0.4 * getattr(part, field).double().flatten(1).mean(1)
        if scale := condition.get(GuidanceScale):
            mean += 0.1 * scale.value
        if attention := condition.get(Attention):
            mean -= 0.5 * attention.identity
        return mean

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        at = SCHEDULE(t)
        alpha, sigma = (expand(each, x) for each in at)
        mean = self.mean(condition)[:, None, None, None]
        spread = alpha**2 * VARIANCE + sigma**2
        x0 = mean + alpha * VARIANCE / spread * (x - alpha * mean)
        return Prediction(x, x0, sigma / spread * (x - alpha * mean), *at)


class Brighter(Gradient):
    """log E[exp(b sum x0) | x_t] up to a constant: pictures tilted by exp(b sum x0), which is N(mean + b 0.3, 0.3)."""

    scale, tilt = 1.0, 2.0

    def log_likelihood(self, current: Prediction, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        alpha, sigma = SCHEDULE(t)
        return self.tilt * alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2) * x.flatten(1).sum(1)


CASES: dict[str, tuple[Any, type | None, float | tuple[float, float] | None]] = {
    "auto": (AutoGuided(Pictures(0.3), 3.0), None, 0.3 + 3 * (0.5 - 0.3)),
    "cfg++": (named("cfg++", scale=0.9), None, (0.4, 5.0)),
    "classifier": (Brighter(), None, 0.5 + 2 * VARIANCE),
    "classifier-free": (named("classifier-free", scale=3.0), None, 1.5),
    "clip": (Brighter(), None, 0.5 + 2 * VARIANCE),
    "distilled": (named("distilled", scale=3.5), GuidanceScale, 0.5 + 0.1 * 3.5),
    "dynamic-threshold": (named("dynamic-threshold", percentile=0.9, limit=0.2), None, None),
    "instruct": (named("instruct", scale=3.0, image_scale=2.0), Concat, 2 * 0.4 + 3 * 0.5),
    "layout": (named("layout", scale=3.0, layout_scale=2.0), Layout, 2 * 0.4 + 3 * 0.5),
    "multi-scale": (named("multi-scale", scale=3.0, layout_scale=2.0), Layout, 3 * 0.5 + 2 * 0.4),
    "norm-preserving": (named("norm-preserving", scale=3.0, patch=4), None, (0.55, 0.9)),
    "perturbed-attention": (named("perturbed-attention", scale=3.0), None, 0.5 + 3 * 0.5),
    "projected": (named("projected", scale=3.0, eta=1.0, momentum=0.0), None, 1.5),
    "static-threshold": (named("static-threshold", limit=0.2), None, None),
}
"""Each guidance, what it is told besides a class, and the mean of guided pictures. Guided Gaussians of one variance are
Gaussians again, and so are tilted ones; both guidances that climb a gradient have one here. Where the mean hangs on the
way that is walked, between what it lies; without any it is DDIM's."""


def test_every_guidance_has_a_case():
    assert set(CASES) == set(Guidance.registry)


def condition(beside: type | None) -> Condition:
    parts: list[Any] = [Label(torch.zeros(ROWS, dtype=torch.long), none=1)]
    if beside is GuidanceScale:
        parts.append(GuidanceScale(torch.full((ROWS,), 3.5)))
    elif beside is not None:
        parts.append(beside(torch.ones(ROWS, 1, 4, 4)))
    return Condition(tuple(parts))


@cache
def reached(name: str, kind: str) -> float:
    """The mean at the end of the walk."""
    guidance, beside, _ = CASES[kind]
    sampler = Langevin(6, 0.5) if name == "langevin" else Sampler.registry.named(name)
    noise = KeyedNoise(range(ROWS))
    x = noise(torch.zeros(ROWS, 1, 4, 4, dtype=torch.float64), "start")
    denoise = bind(Guided(Pictures(), [guidance]), condition(beside))
    steps = 10 if name == "rk45" else 120 if name in ("ddpm", "euler-maruyama", "predictor-corrector") else 30
    *_, last = trajectory(denoise, sampler, x, grid("log-snr", steps, SCHEDULE), noise)
    return float(last.x.mean())


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", Sampler.registry)
def test_guided_pictures_come_to_stand_where_they_should(name: str, kind: str):
    guidance, _, known = CASES[kind]
    sampler = Sampler.registry.named(name)
    if sampler.reads_score and not getattr(guidance, "keeps_score", True):
        with pytest.raises(BadInput, match="choose another sampler"):
            reached(name, kind)
        return
    if isinstance(known, tuple):
        assert known[0] < reached(name, kind) < known[1]
        return
    wanted = reached("ddim", kind) if known is None else known
    assert reached(name, kind) == pytest.approx(wanted, abs=0.1 + 0.05 * abs(wanted))
