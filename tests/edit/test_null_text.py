"""Null-text optimisation, on Gaussians whose mean is what the text says: there u = c is the null that is sought."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from sfumato.condition import Condition, Text
from sfumato.denoise import Prediction, bind
from sfumato.edit import Inversion
from sfumato.edit.null_text import NullText, null_text
from sfumato.guide import ClassifierFree, Guided
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDIM, trajectory
from sfumato.schedule import Schedule, VPLinear
from sfumato.times import grid

SCHEDULE, VARIANCE, SCALE = VPLinear(), 0.3, 4.0
generator = torch.Generator().manual_seed(0)
W = torch.randn(5, 4, generator=generator)
TEXTS = torch.randn(2, 3, 5, generator=generator)
X0 = torch.randn(2, 4, generator=generator)


class Told:
    """The exact denoiser of N(mean of the text's tokens W, VARIANCE)."""

    schedule: Schedule = SCHEDULE

    def __call__(self, x, t, condition):
        text = condition.get(Text)
        alpha, sigma = (float(a) for a in SCHEDULE(t))
        mean = text.embeds.mean(1) @ W
        w = (x - alpha * mean) / (alpha**2 * VARIANCE + sigma**2)
        return Prediction(x, mean + alpha * VARIANCE * w, sigma * w, *SCHEDULE(t))


def condition(rows=slice(None)):
    texts = TEXTS[rows]
    return Condition((Text(texts, negative=Text(texts[:, :, :] * 0.8)),))


def way(told=None, x0=X0, steps=10):
    source = bind(Told(), condition() if told is None else told)
    return Inversion(source, x0, partial(grid, "uniform", steps, SCHEDULE), 0.9, 20)


def back(told, start):
    """Guided DDIM from the top of the way."""
    denoise, noise = bind(Guided(Told(), [ClassifierFree(SCALE)]), told), KeyedNoise(range(len(start.x0)))
    x, times = start(denoise, None, noise)
    for step in trajectory(denoise, DDIM(), x, times, noise):
        x = step.x
    return x


def optimised(iterations=30, **given):
    start = way(**given)
    told = given.get("told") or condition()
    *_, found = null_text(Told(), told, start, SCALE, iterations)
    return found, start


def test_guided_sampling_comes_back_to_the_picture():
    found, start = optimised()
    before, after = (float((back(told, start) - X0).abs().max()) for told in (condition(), found))
    assert before > 0.5
    assert after < 0.05 * before


def test_more_iterations_come_nearer():
    errors = [float((back(*optimised(n)) - X0).abs().max()) for n in (0, 3, 10)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(float((back(condition(), way()) - X0).abs().max()), rel=1e-4)


def test_each_step_begins_where_the_one_before_led_and_not_on_the_path():
    first_asked: dict[float, torch.Tensor] = {}

    class Watched(Told):
        def __call__(self, x, t, condition):
            first_asked.setdefault(float(t), x.detach().clone())
            return super().__call__(x, t, condition)

    start, told = way(), condition()
    *_, found = null_text(Watched(), told, start, SCALE, 2)
    denoise, noise = bind(Guided(Told(), [ClassifierFree(SCALE)]), found), KeyedNoise(range(len(X0)))
    x, times = start(denoise, None, noise)
    walked = [x, *(step.x for step in trajectory(denoise, DDIM(), x, times, noise))]
    for t, here in zip(times[:-1].tolist(), walked, strict=False):
        assert torch.allclose(first_asked[t], here, atol=1e-4)
    apart = [float((first_asked[float(t)] - start.at(t)).abs().max()) for t in times[1:-1]]
    assert min(apart) > 1e-2  # two steps of Adam don't come back to the path


def test_the_null_is_that_of_the_time():
    found, start = optimised(3)
    part = next(p for p in found.parts if isinstance(p, NullText))
    knots = start.times[:-1]
    for k, t in enumerate(knots):
        now = found.at(t).get(Text)
        assert torch.equal(now.null().embeds, part.nulls[:, k])
        assert torch.equal(now.embeds, TEXTS)
    between = found.at(float(knots[2]) - 0.01).get(Text)
    assert torch.equal(between.null().embeds, part.nulls[:, 2])
    each = found.at(torch.stack([knots[0], knots[3]])).get(Text)
    assert torch.equal(each.null().embeds, torch.stack([part.nulls[0, 0], part.nulls[1, 3]]))


def test_it_yields_once_a_step_and_keeps_what_it_has():
    start = way(steps=4)
    lengths = [next(p for p in c.parts if isinstance(p, NullText)).nulls.shape[1]
               for c in null_text(Told(), condition(), start, SCALE, 1)]  # fmt: skip
    assert lengths == [1, 2, 3, 4]


def test_rows_are_selected_joined_and_optimised_by_themselves():
    both, start = optimised(5)
    alone, _ = optimised(5, told=condition(slice(1, 2)), x0=X0[1:])
    one = both.select([1])
    t = start.times[3]
    torch.testing.assert_close(one.at(t).get(Text).null().embeds, alone.at(t).get(Text).null().embeds)
    joined = Condition.cat([alone, one])
    torch.testing.assert_close(joined.at(t).get(Text).null().embeds, one.at(t).get(Text).null().embeds.repeat(2, 1, 1))


def test_unguided_it_is_the_plain_text():
    found, _ = optimised(2)
    t = torch.tensor(0.5, dtype=torch.float64)
    assert torch.equal(bind(Told(), found)(X0, t).x0, bind(Told(), condition())(X0, t).x0)


def test_another_text_takes_the_null_over():
    """As an edit does: the nulls belong to the picture, the words to the target."""
    found, start = optimised()
    part = next(p for p in found.parts if isinstance(p, NullText))
    target = Condition((replace(part, embeds=part.embeds + 0.2),))
    assert float((back(target, start) - X0).abs().max()) > 0.1


def test_a_real_network_is_differentiated(tiny_model):
    import sfumato
    from sfumato.recipe import Recipe

    stage = sfumato.load(tiny_model).stage
    told = stage.encode([Recipe(prompt="a boat")])
    x0 = torch.randn(1, stage.space.channels, 8, 8, generator=torch.Generator().manual_seed(1))
    start = Inversion(bind(stage.denoiser, told), x0, grid("uniform", 3, stage.denoiser.schedule), 0.8, 4)
    errors = []
    for iterations in (0, 6):
        *_, found = null_text(stage.denoiser, told, start, 6.0, iterations)
        denoise = bind(Guided(stage.denoiser, [ClassifierFree(6.0)]), found)
        x, times = start(denoise, None, KeyedNoise([0]))
        for step in trajectory(denoise, DDIM(), x, times, KeyedNoise([0])):
            x = step.x
        errors.append(float((x - x0).abs().mean()))
    assert errors[1] < errors[0]


def test_without_words_there_is_no_null():
    with pytest.raises(BadInput, match="needs a condition with words"):
        next(null_text(Told(), Condition.empty(2), way(), SCALE))
