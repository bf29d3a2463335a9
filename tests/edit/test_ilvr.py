import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.condition import Condition
from sfumato.denoise import GaussianMixture, bind
from sfumato.edit import ILVR, NoiseStart, low_pass
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import EDM, VE, Flow, VPLinear
from sfumato.times import grid

SHAPE = (2, 3, 12, 8)
generator = torch.Generator().manual_seed(0)
PICTURE = torch.rand(SHAPE, generator=generator) * 2 - 1
NOISE = KeyedNoise([1, 2])
ZERO = torch.tensor(0.0, dtype=torch.float64)


def end(name, schedule, hold, steps=6):
    means = torch.randn(3, *SHAPE[1:], generator=torch.Generator().manual_seed(1))
    denoise = bind(GaussianMixture(schedule, means, 0.1), Condition.empty(2))
    x, times = NoiseStart(torch.zeros(SHAPE))(denoise, grid("uniform", steps, schedule), NOISE)
    held = None if hold is None else hold.bind(PICTURE, schedule)
    *_, last = trajectory(denoise, Sampler.registry.named(name), x, times, NOISE, held)
    return last.x


@pytest.mark.parametrize("name", Sampler.registry)
@pytest.mark.parametrize("schedule", [VPLinear(), VE(), Flow(), EDM()], ids=repr)
def test_the_low_frequencies_are_the_references_and_the_high_ones_free(name, schedule):
    held, free = end(name, schedule, ILVR(4)), end(name, schedule, None)
    rounding = 2e-6 * max(1.0, float(held.abs().max()))
    torch.testing.assert_close(low_pass(held, 4), low_pass(PICTURE, 4), rtol=0, atol=rounding)
    assert float((low_pass(free, 4) - low_pass(PICTURE, 4)).abs().mean()) > 0.05
    assert float((held - PICTURE).abs().mean()) > 0.05


def test_factor_1_is_the_reference_to_the_bit():
    assert torch.equal(end("ddim", VPLinear(), ILVR(1)), PICTURE)


def test_a_large_factor_holds_the_mean_alone():
    x = torch.randn(SHAPE)
    held = ILVR(100).bind(PICTURE, VPLinear())(x, ZERO, NOISE)
    means = PICTURE.mean((2, 3), keepdim=True) - x.mean((2, 3), keepdim=True)
    torch.testing.assert_close(held, x + means)


def test_below_its_last_time_nothing_is_held():
    x = torch.randn(SHAPE)
    hold = ILVR(2, until=0.3).bind(PICTURE, VPLinear())
    assert hold(x, torch.tensor(0.29), NOISE) is x
    assert not torch.equal(hold(x, torch.tensor(0.3), NOISE), x)


def test_on_the_way_the_reference_is_noised_as_the_picture_is():
    x, s, schedule = torch.randn(SHAPE), torch.tensor(0.5, dtype=torch.float64), VPLinear()
    alpha, sigma = (float(a) for a in schedule(s))
    reference = alpha * PICTURE + sigma * NOISE(x)
    held = ILVR(2).bind(PICTURE, schedule)(x, s, NOISE)
    torch.testing.assert_close(held, x - low_pass(x, 2) + low_pass(reference, 2))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(1, 12))
def test_the_filter_is_an_orthogonal_projection(height, width, factor):
    x = torch.randn(2, height, width, dtype=torch.float64)
    low = low_pass(x, factor)
    torch.testing.assert_close(low_pass(low, factor), low)
    torch.testing.assert_close((low * (x - low)).sum(), torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(low_pass(torch.ones_like(x), factor), torch.ones_like(x))


def test_it_keeps_slow_waves_and_drops_fast_ones():
    place = (torch.arange(12, dtype=torch.float64) + 0.5) * torch.pi / 12
    slow, fast = (torch.cos(k * place).expand(3, 12, 12) for k in (2, 4))
    torch.testing.assert_close(low_pass(slow, 4), slow)
    torch.testing.assert_close(low_pass(fast, 4), torch.zeros_like(fast))


def test_impossible_options_are_refused():
    with pytest.raises(BadInput, match="1 or more"):
        ILVR(0.5)
    with pytest.raises(BadInput, match="between 0 and 1"):
        ILVR(2, until=2)
