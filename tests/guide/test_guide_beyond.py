"""Autoguidance, CFG++, projected guidance and perturbed attention: identities, closed forms, calls counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from sfumato.condition import Attention, Condition, Label
from sfumato.denoise import Gaussian, GaussianMixture, Prediction, bind
from sfumato.guide import (
    AutoGuided,
    CFGPlusPlus,
    ClassifierFree,
    Guided,
    PerturbedAttention,
    ProjectedGuidance,
)
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDIM, Sampler, trajectory
from sfumato.schedule import Cosine
from sfumato.times import LogSNRGrid, UniformGrid

SCHEDULE = Cosine()
NONE = 2


def mixture() -> GaussianMixture:
    means = torch.tensor([[-1.0, 0.3], [1.2, -0.4]], dtype=torch.float64)
    return GaussianMixture(SCHEDULE, means, torch.tensor([0.05, 0.2]), labels=torch.tensor([0, 1]))


def labelled(rows: int = 3, label: int = 1) -> Condition:
    return Condition((Label(torch.full((rows,), label), none=NONE),))


class Counting:
    """A denoiser that counts its calls and rows."""

    def __init__(self, denoiser):
        self.denoiser, self.schedule, self.calls, self.rows = denoiser, denoiser.schedule, 0, 0

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        self.calls, self.rows = self.calls + 1, self.rows + len(x)
        return self.denoiser(x, t, condition)


@dataclass(frozen=True)
class Unconditional:
    """The denoiser as its null sees it."""

    denoiser: GaussianMixture

    @property
    def schedule(self):
        return self.denoiser.schedule

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        return self.denoiser(x, t, condition.null())


class Blurred:
    """A denoiser whose answer is worse by 0.3 x in the rows whose attention is perturbed, as a network's would be."""

    def __init__(self, denoiser):
        self.denoiser, self.schedule = denoiser, denoiser.schedule

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        p = self.denoiser(x, t, condition)
        part = condition.get(Attention)
        return p if part is None else p.moved(x0=p.x0 - 0.3 * part.identity[:, None] * x)


X = torch.tensor([[0.4, -0.2], [1.5, 0.1], [-0.7, 0.9]], dtype=torch.float64)
T = torch.tensor(0.55, dtype=torch.float64)


def same(a: Prediction, b: Prediction, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(a.x0, b.x0, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(a.eps, b.eps, atol=tolerance, rtol=tolerance)


def consistent(p: Prediction) -> None:
    torch.testing.assert_close(p.alpha * p.x0 + p.sigma * p.eps, p.x, atol=1e-10, rtol=1e-10)


class TestAutoGuidance:
    def test_by_the_unconditional_denoiser_it_is_classifier_free(self):
        auto = Guided(mixture(), [AutoGuided(Unconditional(mixture()), 3.0)])
        same(auto(X, T, labelled()), Guided(mixture(), [ClassifierFree(3.0)])(X, T, labelled()))

    def test_of_gaussians_it_sharpens_as_the_closed_form_says(self):
        good, bad = (Gaussian(SCHEDULE, torch.zeros(2), v) for v in (0.25, 1.0))
        p = Guided(good, [AutoGuided(bad, 2.0)])(X, T, Condition.empty(3))
        alpha, sigma = SCHEDULE(T)
        gains = [alpha * v / (alpha**2 * v + sigma**2) for v in (0.25, 1.0)]
        torch.testing.assert_close(p.x0, (2 * gains[0] - gains[1]) * X)
        consistent(p)

    def test_costs_a_call_of_the_bad_one_and_nothing_when_off(self):
        good, bad = Counting(mixture()), Counting(mixture())
        Guided(good, [AutoGuided(bad, 2.0), AutoGuided(bad, 1.5)])(X, T, labelled())
        assert (good.calls, good.rows, bad.calls, bad.rows) == (1, 3, 1, 3)
        same(Guided(good, [AutoGuided(bad, 1.0)])(X, T, labelled()), mixture()(X, T, labelled()), 0)
        Guided(good, [AutoGuided(bad, 2.0, (0.6, 1.0))])(X, T, labelled())
        assert bad.calls == 1


class TestCFGPlusPlus:
    def test_takes_the_picture_guided_and_the_noise_unconditional(self):
        c, u = mixture()(X, T, labelled()), mixture()(X, T, labelled().null())
        p = Guided(mixture(), [CFGPlusPlus(0.6)])(X, T, labelled())
        torch.testing.assert_close(p.x0, u.x0 + 0.6 * (c.x0 - u.x0))
        assert torch.equal(p.eps, u.eps)
        same(Guided(mixture(), [CFGPlusPlus(0.0)])(X, T, labelled()), u)

    def test_a_ddim_step_is_the_papers(self):
        s = torch.tensor(0.4, dtype=torch.float64)
        denoise = bind(Guided(mixture(), [CFGPlusPlus(0.6)]), labelled())
        x, _ = DDIM().step(denoise, X, T, s, None, KeyedNoise([0, 1, 2]))
        c, u = mixture()(X, T, labelled()), mixture()(X, T, labelled().null())
        (alpha_t, sigma_t), (alpha_s, sigma_s) = SCHEDULE(T), SCHEDULE(s)
        guided = u.eps + 0.6 * (c.eps - u.eps)
        torch.testing.assert_close(x, alpha_s * (X - sigma_t * guided) / alpha_t + sigma_s * u.eps)

    @pytest.mark.parametrize("scale", [-0.1, 1.1, math.nan])
    def test_refuses_a_scale_outside(self, scale):
        with pytest.raises(BadInput, match="from 0"):
            CFGPlusPlus(scale)


class TestProjectedGuidance:
    def test_with_everything_kept_it_is_classifier_free(self):
        projected = Guided(mixture(), [ProjectedGuidance(4.0, eta=1.0)])
        same(projected(X, T, labelled()), Guided(mixture(), [ClassifierFree(4.0)])(X, T, labelled()), 1e-9)

    def test_moves_orthogonally_to_the_conditional_picture(self):
        c = mixture()(X, T, labelled())
        p = Guided(mixture(), [ProjectedGuidance(4.0)])(X, T, labelled())
        torch.testing.assert_close(((p.x0 - c.x0) * c.x0).sum(1), torch.zeros(3, dtype=torch.float64))
        u = mixture()(X, T, labelled().null())
        d = c.x0 - u.x0
        length = (d.square().sum(1) - ((d * c.x0).sum(1) / c.x0.norm(dim=1)).square()).sqrt()
        torch.testing.assert_close((p.x0 - c.x0).norm(dim=1), 3 * length)
        consistent(p)

    def test_threshold_limits_the_step_of_each_picture(self):
        c = mixture()(X, T, labelled())
        p = Guided(mixture(), [ProjectedGuidance(3.0, eta=1.0, threshold=0.01)])(X, T, labelled())
        torch.testing.assert_close((p.x0 - c.x0).norm(dim=1), torch.full((3,), 0.02, dtype=torch.float64))

    def test_momentum_averages_over_times_not_over_calls(self):
        times = [torch.tensor(t, dtype=torch.float64) for t in (0.8, 0.6, 0.6, 0.4)]
        guided = Guided(mixture(), [ProjectedGuidance(2.0, eta=1.0, momentum=-0.5)])
        ds = [mixture()(X, t, labelled()).x0 - mixture()(X, t, labelled().null()).x0 for t in times]
        moves = [guided(X, t, labelled()).x0 - mixture()(X, t, labelled()).x0 for t in times]
        torch.testing.assert_close(moves[0], ds[0])
        torch.testing.assert_close(moves[1], ds[1] - 0.5 * ds[0])
        torch.testing.assert_close(moves[2], moves[1])
        torch.testing.assert_close(moves[3], ds[3] - 0.5 * moves[1])
        torch.testing.assert_close(guided(X, times[0], labelled()).x0 - mixture()(X, times[0], labelled()).x0, ds[0])

    def test_refusals(self):
        with pytest.raises(BadInput, match="momentum"):
            ProjectedGuidance(momentum=1.0)
        with pytest.raises(BadInput, match="threshold"):
            ProjectedGuidance(threshold=0.0)


class TestPerturbedAttention:
    def test_moves_away_from_the_perturbed_answer(self):
        c = mixture()(X, T, labelled())
        p = Guided(Blurred(mixture()), [PerturbedAttention(2.0)])(X, T, labelled())
        torch.testing.assert_close(p.x0, c.x0 + 2.0 * 0.3 * X)
        consistent(p)

    def test_beside_classifier_free_it_is_three_rows_in_one_call(self):
        network = Counting(Blurred(mixture()))
        p = Guided(network, [ClassifierFree(5.0), PerturbedAttention(2.0)])(X, T, labelled())
        assert (network.calls, network.rows) == (1, 9)
        c, u = mixture()(X, T, labelled()), mixture()(X, T, labelled().null())
        torch.testing.assert_close(p.x0, u.x0 + 5 * (c.x0 - u.x0) + 2 * 0.3 * X)

    def test_off_costs_nothing_and_works_without_conditions(self):
        network = Counting(Blurred(mixture()))
        Guided(network, [PerturbedAttention(0.0), PerturbedAttention(1.0, interval=(0.9, 1.0))])(X, T, labelled())
        assert network.rows == 3
        p = Guided(Blurred(mixture()), [PerturbedAttention(1.0)])(X, T, Condition.empty(3))
        torch.testing.assert_close(p.x0, mixture()(X, T, Condition.empty(3)).x0 + 0.3 * X)

    def test_two_sets_of_layers_in_one_call_are_refused(self):
        with pytest.raises(BadInput, match="choose one set"):
            Guided(Blurred(mixture()), [PerturbedAttention(1.0), PerturbedAttention(1.0, ("up",))])(X, T, labelled())


@pytest.mark.parametrize("name", [name for name in Sampler.registry if name != "lcm"])
@pytest.mark.parametrize("scale", [2.0, 5.0])
def test_every_sampler_walks_guided(name, scale):
    """All four at once, each sampler: finite, and on the side of the class that was asked for."""
    guidances = [
        ProjectedGuidance(scale, momentum=-0.3),
        PerturbedAttention(0.1),
        AutoGuided(Gaussian(SCHEDULE, torch.zeros(2), 1.0), 1.2),
    ]
    denoise = bind(Guided(Blurred(mixture()), guidances), labelled(8))
    noise = KeyedNoise(range(8))
    x = noise(torch.empty(8, 2, dtype=torch.float64), "start")
    for step in trajectory(
        denoise, Sampler.registry.named(name), x, (LogSNRGrid() if "pp" in name else UniformGrid())(12, SCHEDULE), noise
    ):
        x = step.x
    assert bool(x.isfinite().all())
    assert (x[:, 0] > 0).float().mean() > 0.7
