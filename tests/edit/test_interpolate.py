from functools import partial

import pytest
import torch

from sfumato.condition import Condition
from sfumato.denoise import GaussianMixture, bind
from sfumato.edit import Inversion, MixedStart, NoisedStart, lerp, slerp
from sfumato.noise import KeyedNoise
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import VPLinear
from sfumato.times import grid

SCHEDULE = VPLinear()
NOISE = KeyedNoise([1, 2])
TIMES = partial(grid, "uniform", 10, SCHEDULE)
generator = torch.Generator().manual_seed(0)
MEANS = torch.randn(2, 3, 4, 4, generator=generator)
A, B = (mean + 0.1 * torch.randn(2, 3, 4, 4, generator=generator) for mean in MEANS)
DENOISE = bind(GaussianMixture(SCHEDULE, MEANS, 0.05), Condition.empty(2))


def noised(weight, strength=0.5):
    return MixedStart(NoisedStart(A, strength), NoisedStart(B, strength), weight, lerp)


def inverted(weight, strength=0.7, refine=10):
    return MixedStart(*(Inversion(DENOISE, x0, TIMES, strength, refine) for x0 in (A, B)), weight)


def end(start):
    x, times = start(DENOISE, TIMES, NOISE)
    for step in trajectory(DENOISE, Sampler.registry.named("ddim"), x, times, NOISE):
        x = step.x
    return x


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 1.0])
def test_the_sphere_keeps_each_rows_length_and_the_line_does_not(place):
    a, b = torch.randn(2, 3, 4096, generator=torch.Generator().manual_seed(0))
    b = b * (a.norm(dim=1) / b.norm(dim=1))[:, None]
    lengths = [mix(a, b, place).norm(dim=1) / a.norm(dim=1) for mix in (slerp, lerp)]
    torch.testing.assert_close(lengths[0], torch.ones(3), rtol=0, atol=1e-5)
    shrunk = ((1 - place) ** 2 + place**2) ** 0.5
    torch.testing.assert_close(lengths[1], torch.full((3,), shrunk), rtol=0.03, atol=0)
    assert torch.equal(slerp(a, b, place)[1:2], slerp(a[1:2], b[1:2], place))


@pytest.mark.parametrize("mix", [lerp, slerp])
def test_the_ends_are_themselves_to_the_bit(mix):
    assert torch.equal(mix(A, B, 0.0), A)
    assert torch.equal(mix(A, B, 1.0), B)
    torch.testing.assert_close(mix(A, A, 0.3), A)
    assert mix(A, torch.zeros_like(A), 0.5).isfinite().all()


def test_with_shared_noise_the_mix_is_the_mixed_picture_noised():
    """Ho et al. 2020: the noise is the same in both, so that a straight line keeps its size."""
    x, times = noised(0.25)(DENOISE, TIMES, NOISE)
    expected, _ = NoisedStart(torch.lerp(A, B, 0.25), 0.5)(DENOISE, TIMES, NOISE)
    torch.testing.assert_close(x, expected)
    assert times[0] == 0.5


def test_inverted_pictures_come_back_at_the_ends():
    torch.testing.assert_close(end(inverted(0.0)), A, rtol=0, atol=1e-4)
    torch.testing.assert_close(end(inverted(1.0)), B, rtol=0, atol=1e-4)


def test_midway_at_high_noise_each_row_is_one_of_the_modes():
    """A double exposure is far from both."""
    found = end(inverted(0.4, 1.0))
    nearest = torch.stack([(found - mean).flatten(1).norm(dim=1) for mean in MEANS]).amin(0)
    double = torch.stack([(torch.lerp(A, B, 0.4) - mean).flatten(1).norm(dim=1) for mean in MEANS]).amin(0)
    assert (nearest < double).all()


def test_preparing_is_that_of_both():
    start = inverted(0.5, refine=1)
    assert start.calls == sum(1 for _ in start.prepare()) == 2 * 10 * 2
    assert noised(0.5).calls == sum(1 for _ in noised(0.5).prepare()) == 0
