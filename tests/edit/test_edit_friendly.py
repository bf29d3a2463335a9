from functools import partial

import pytest
import torch

from sfumato.condition import Condition, Label
from sfumato.denoise import GaussianMixture, bind
from sfumato.edit import EditFriendlyInversion, Replayed
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDIM, DDPM, Sampler, trajectory
from sfumato.schedule import EDM, VE, Discrete, Flow, VPLinear
from sfumato.times import grid

STABLE = Discrete.named("scaled_linear", 1000, 0.00085, 0.012)
SCHEDULES = [STABLE, VPLinear(), VE(), Flow(), EDM()]
generator = torch.Generator().manual_seed(0)
MEANS = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=generator)
PICTURE = MEANS[0] + 0.3 * torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=generator)
NOISE = KeyedNoise([1, 2])


def told(schedule, label, rows=2):
    oracle = GaussianMixture(schedule, MEANS, 0.1, labels=torch.tensor([0, 1]))
    return bind(oracle, Condition((Label(torch.full((rows,), label), 2),)))


def last_touch(start):
    return lambda x, s, noise: start.after(x, s)


def friendly(schedule=STABLE, strength=1.0, eta=1.0, x0=PICTURE, noise=NOISE, steps=12):
    return EditFriendlyInversion(
        told(schedule, 0, len(x0)), x0, partial(grid, "uniform", steps, schedule), noise, strength, eta
    )


def painted(start, name, denoise=None, hold=True):
    denoise = denoise or start.source
    x, times = start(denoise, None, NOISE)
    for step in trajectory(denoise, name, x, times, start.noise(NOISE), last_touch(start) if hold else None):
        x = step.x
    return x


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize(("eta", "ancestral"), [(1.0, DDPM()), (1.0, DDIM(1.0)), (0.4, DDIM(0.4))])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_sampler_paints_the_picture_to_rounding(schedule, eta, ancestral, strength):
    start = friendly(schedule, strength, eta)
    torch.testing.assert_close(painted(start, ancestral), PICTURE, rtol=0, atol=1e-9)


def test_without_the_last_touch_what_the_noiseless_step_leaves_is_missing():
    start = friendly()
    apart = painted(start, DDPM(), hold=False) - PICTURE
    assert 1e-4 < float(apart.abs().max()) < 1


def test_with_other_noise_it_is_another_picture():
    start = friendly()
    x, times = start(start.source, None, NOISE)
    *_, last = trajectory(start.source, DDPM(), x, times, NOISE, last_touch(start))
    assert float((last.x - PICTURE).abs().mean()) > 0.05


def test_another_prompt_changes_it_and_the_maps_carry_it_over():
    """To the other class, and nearer to the picture's own deviation from its class than fresh noise comes."""
    start = friendly(VPLinear())
    target = told(VPLinear(), 1)
    kept = painted(start, DDPM(), target) - MEANS[1]
    x, times = start(target, None, NOISE)
    *_, last = trajectory(target, DDPM(), x, times, NOISE)
    fresh, own = last.x - MEANS[1], PICTURE - MEANS[0]
    alike = [float(torch.corrcoef(torch.stack([a.flatten(), own.flatten()]))[0, 1]) for a in (kept, fresh)]
    assert float(kept.abs().mean()) < 0.5
    assert alike[0] > 0.8 > alike[1]


def test_knots_are_drawn_apart_and_the_maps_are_larger_than_noise():
    maps = friendly(steps=40).noise(NOISE).maps
    assert float(maps.std()) > 1.05
    trajectory_like = (maps[1:] * maps[:-1]).mean() / maps.square().mean()
    assert abs(float(trajectory_like)) > 0.02


def test_preparing_calls_the_network_once_a_step():
    asked = []
    start = friendly(steps=5)
    source = start.source
    start.source = type("Counting", (), {"schedule": source.schedule,
        "__call__": lambda self, x, t: (asked.append(t), source(x, t))[1]})()  # fmt: skip
    assert sum(1 for _ in start.prepare()) == start.calls == len(asked) == 5


def test_a_picture_of_a_batch_equals_it_alone():
    alone = friendly(x0=PICTURE[1:], noise=KeyedNoise([2]))
    torch.testing.assert_close(friendly().noise(NOISE).maps[:, 1:], alone.noise(NOISE).maps, rtol=0, atol=1e-9)


def test_replayed_noise_answers_for_steps_alone():
    maps = torch.randn(3, 2, 4)
    noise, like = Replayed(maps, NOISE), torch.zeros(2, 4)
    assert torch.equal(noise(like, "step", 1), maps[1])
    assert torch.equal(noise.at("step", 2)(like), maps[2])
    assert torch.equal(noise.at("step")(like, 0), maps[0])
    for key in (("step", 3), ("hold", 0), ("step", 0, "more"), ("start",)):
        assert torch.equal(noise(like, *key), NOISE(like, *key))


@pytest.mark.parametrize("name", ["dpmpp-2m-sde", "euler-maruyama", "heun"])
def test_other_samplers_take_it_too(name):
    assert painted(friendly(), Sampler.registry.named(name)).isfinite().all()


def test_strength_0_is_the_picture_to_the_bit():
    start = friendly(strength=0.0)
    x, times = start(start.source, None, NOISE)
    assert times.tolist() == [0]
    assert torch.equal(x, PICTURE)


def test_a_sampler_without_noise_has_none_to_extract():
    with pytest.raises(BadInput, match="give eta above 0"):
        friendly(eta=0.0)
