"""DiffEdit masks, on mixtures of which two classes differ in a known place."""

from functools import partial

import pytest
import torch

from sfumato.condition import Condition, Label
from sfumato.denoise import GaussianMixture, bind
from sfumato.edit import DiffEdit, Inversion, NoisedStart, NoiseStart, binarized, disagreement
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import EDM, VE, Flow, VPLinear
from sfumato.times import grid

CHANGED = torch.zeros(1, 6, 6)
CHANGED[:, 1:4, 2:6] = 1
generator = torch.Generator().manual_seed(0)
GROUND = torch.randn(3, 6, 6, generator=generator)
MEANS = torch.stack([GROUND, GROUND + 1.5 * CHANGED])
PICTURE = MEANS[:1] + 0.1 * torch.randn(2, 3, 6, 6, generator=generator)


def told(schedule, label, rows=2):
    oracle = GaussianMixture(schedule, MEANS, 0.05, labels=torch.tensor([0, 1]))
    return bind(oracle, Condition((Label(torch.full((rows,), label), 2),)))


def inferred(schedule=None, picture=PICTURE, seeds=(1, 2), strength=0.8, steps=8, **options):
    schedule = schedule or VPLinear()
    source, target = (told(schedule, label, len(picture)) for label in (0, 1))
    way = Inversion(source, picture, partial(grid, "uniform", steps, schedule), strength, 20)
    return DiffEdit(source, target, way, KeyedNoise(seeds), **options)


def edited(hold, name="ddim", start=None, seeds=(1, 2)):
    noise = KeyedNoise(seeds)
    x, times = (start or hold.path)(hold.target, hold.path.times, noise)
    for step in trajectory(hold.target, Sampler.registry.named(name), x, times, noise, hold):
        x = step.x
    return x


@pytest.mark.parametrize("schedule", [VPLinear(), VE(), Flow(), EDM()], ids=repr)
def test_the_mask_is_where_the_two_classes_differ(schedule):
    hold = inferred(schedule)
    for count, _ in enumerate(hold.prepare(), 1):
        assert count <= hold.calls
    assert count == hold.calls == 10 + hold.path.calls
    assert torch.equal(hold.mask, CHANGED.expand(2, 1, 6, 6))


@pytest.mark.parametrize("name", Sampler.registry)
def test_outside_it_the_picture_stays_to_the_bit_and_inside_it_changes_class(name):
    hold = inferred()
    end = edited(hold, name)
    outside = CHANGED.expand_as(end) == 0
    assert torch.equal(end[outside], PICTURE[outside])
    assert float((end - MEANS[1])[~outside].abs().mean()) < 0.5
    assert float((PICTURE - MEANS[1])[~outside].abs().mean()) > 1.4


def test_on_the_way_the_outside_is_the_inverted_picture_and_not_noise():
    hold = inferred()
    x, times = hold.path(hold.target, None, hold.noise)
    outside = CHANGED.expand_as(x) == 0
    for step in trajectory(hold.target, Sampler.registry.named("ddim"), x, times, hold.noise, hold):
        assert torch.equal(step.x[outside], hold.path.at(step.t)[outside])


def test_texts_that_say_the_same_change_nothing():
    hold = inferred()
    hold.target = hold.source
    assert torch.equal(edited(hold), PICTURE)
    assert hold.mask.sum() == 0


@pytest.mark.parametrize("start", [NoiseStart(PICTURE), NoisedStart(PICTURE, 0.8)], ids=["noise", "sdedit"])
def test_it_holds_whatever_the_start(start):
    hold = inferred(strength=1.0 if isinstance(start, NoiseStart) else 0.8)
    end = edited(hold, "dpmpp-2m", start)
    outside = CHANGED.expand_as(end) == 0
    assert torch.equal(end[outside], PICTURE[outside])


def test_shared_it_leaves_the_way_to_the_start():
    own, shared = inferred(), inferred(shared=True)
    assert (own.calls, shared.calls) == (10 + own.path.calls, 10)
    assert torch.equal(edited(own), edited(shared))


def test_a_picture_of_a_batch_equals_it_alone():
    both, alone = inferred(draws=1, threshold=0.9), inferred(draws=1, threshold=0.9, picture=PICTURE[1:], seeds=(2,))
    assert torch.equal(edited(both)[1:], edited(alone, seeds=(2,)))
    assert torch.equal(both.mask[1:], alone.mask)


def test_more_draws_average_the_noise_away():
    schedule, t = VPLinear(), 0.8
    source, target = told(schedule, 0), told(schedule, 1)
    maps = [disagreement(source, target, PICTURE, t, KeyedNoise([i, i + 100])) for i in range(16)]
    one = torch.stack(maps).std(0).mean()
    means = torch.stack([torch.stack(maps[i : i + 4]).mean(0) for i in range(0, 16, 4)])
    assert means.std(0).mean() <= one


def test_binarized_scales_each_picture_by_itself_and_clips_outliers():
    apart = torch.zeros(2, 1, 10, 10)
    apart[0, 0, :3, :3] = 1
    apart[1, 0, :3, :3] = 100
    apart[1, 0, 9, 9] = 1e6
    mask = binarized(apart, 0.5)
    assert torch.equal(mask[0], (apart[0] > 0).float())
    assert torch.equal(mask[1], (apart[1] > 0).float())
    assert binarized(torch.full((1, 1, 4, 4), 3.0)).sum() == 0


def test_a_higher_threshold_changes_less():
    apart = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    areas = [float(binarized(apart, threshold).mean()) for threshold in (0.0, 0.25, 0.5, 0.75)]
    assert areas == sorted(areas, reverse=True)
    assert len(set(areas)) == 4


def test_it_may_be_grown():
    hold = inferred(grow=1)
    edited(hold)
    assert hold.mask.sum() > CHANGED.expand_as(hold.mask).sum()
    assert (hold.mask >= CHANGED).all()


def test_impossible_options_are_refused():
    for message, options in {
        "at least 1 draw": {"draws": 0},
        "above 0 and up to 1": {"level": 0.0},
        "between 0 and 1": {"threshold": 1.0},
    }.items():
        with pytest.raises(BadInput, match=message):
            inferred(**options)
