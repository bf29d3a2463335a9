"""Two rows a picture, side by side: the loop, the maps that it gathers and the mask that they make."""

from __future__ import annotations

import math

import pytest
import torch

from sfumato.condition import Condition, Label
from sfumato.denoise import GaussianMixture, bind
from sfumato.edit import AttentionMaps, Imputation, LocalBlend, coupled, injection, side_by_side
from sfumato.edit.alignment import Words
from sfumato.edit.prompt_to_prompt import Twice
from sfumato.guide import Guided
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDPM, Heun, Sampler, trajectory
from sfumato.schedule import VPLinear

SCHEDULE = VPLinear()
MEANS = torch.tensor([[-2.0, 0.0, 1.0], [2.0, 1.0, -1.0]])
TIMES = torch.linspace(1, 0, 9, dtype=torch.float64)
TARGET, SOURCE = torch.tensor([0, 1]), torch.tensor([1, 0])


def denoiser(ids: torch.Tensor):
    mixture = GaussianMixture(SCHEDULE, MEANS, 0.05, labels=torch.tensor([0, 1]))
    return bind(Guided(mixture, []), Condition((Label(ids, None),)))


@pytest.mark.parametrize(
    "name", ["ddim", "ddpm", "dpmpp-2m-sde", "dpmpp-3m", "heun", "unipc", "rk45", "dpm-adaptive", "euler-maruyama"]
)
def test_both_halves_are_their_own_trajectories_with_the_same_noise(name):
    noise, x = KeyedNoise([3, 4]), KeyedNoise([3, 4])(torch.zeros(2, 3, dtype=torch.float64), "start")
    hold = Imputation(torch.tensor([[1.0, 1.0, 0.0]])).bind(torch.ones(2, 3), SCHEDULE)
    *_, pair = side_by_side(denoiser(torch.cat([TARGET, SOURCE])), Sampler.registry.named(name), x, TIMES, noise, hold)
    *_, alone = trajectory(denoiser(TARGET), Sampler.registry.named(name), x, TIMES, noise, hold)
    torch.testing.assert_close(pair.x, alone.x, atol=1e-9, rtol=1e-9)
    assert pair.prediction is not None
    assert pair.prediction.x0.shape == (2, 3)
    assert (pair.index, pair.total) == (alone.index, alone.total)
    assert pair.x[:, 2].tolist() == [1, 1]


def test_the_noise_of_a_companion_is_that_of_its_picture():
    like = torch.zeros(4, 5)
    both = Twice(KeyedNoise([7, 8])).at("step", 1)(like, "z")
    assert torch.equal(both[:2], KeyedNoise([7, 8]).at("step", 1)(like[:2], "z"))
    assert torch.equal(both[2:], both[:2])


WORDS = Words(("a", "hat"), ((1,), (2,)), (1.0, 1.5), 4)


def test_a_coupled_condition_says_who_belongs_to_whom():
    part = injection([WORDS, WORDS], [WORDS, WORDS], 4, 0.7, 0.2, 8)
    condition = coupled(Condition((Label(torch.cat([TARGET, SOURCE]), None),)), part)
    assert condition.picture.tolist() == [0, 1, 0, 1]
    assert condition.branch.tolist() == [0] * 4
    assert part.source.tolist() == [False, False, True, True]
    assert part.weight.tolist() == [[1, 1, 1.5, 1]] * 2 + [[1] * 4] * 2
    assert (part.within, part.cross_maps[0].item(), part.self_maps[0].item()) == (
        8,
        pytest.approx(0.7),
        pytest.approx(0.2),
    )
    assert torch.equal(part.mapping[0], torch.eye(4))


def gathered(*layers: torch.Tensor) -> AttentionMaps:
    maps = AttentionMaps(within=4)
    for layer in layers:
        maps(torch.arange(len(layer)), layer)
    return maps


def test_maps_are_the_mean_over_the_finest_layers_within_the_limit():
    fine, first, second = torch.rand(2, 64, 3), torch.rand(2, 16, 3), torch.rand(2, 16, 3)
    maps = gathered(fine, first, torch.rand(2, 4, 3), second)
    words = torch.tensor([[[1.0, 0, 0], [0, 1, 1]]]).expand(2, 2, 3)
    seen = maps.of(words, (8, 8))
    mean = ((first + second) / 2).unflatten(1, (4, 4))
    torch.testing.assert_close(seen[:, 0], mean[..., 0])
    torch.testing.assert_close(seen[:, 1], mean[..., 1] + mean[..., 2])
    wide = gathered(torch.rand(1, 8, 3)).of(words[:1], (4, 8))
    assert wide.shape == (1, 2, 2, 4)


def test_maps_at_every_place_count_where_there_are_no_others():
    whole, coarser, words = torch.rand(1, 16, 3), torch.rand(1, 4, 3), torch.ones(1, 1, 3)
    assert gathered(whole, coarser).of(words, (4, 4)).shape == (1, 1, 2, 2)
    assert gathered(whole).of(words, (4, 4)).shape == (1, 1, 4, 4)
    assert gathered(whole, coarser).of(words, (8, 8)).shape == (1, 1, 4, 4)


def test_nothing_seen_is_said():
    with pytest.raises(BadInput, match="No attention map has been seen"):
        AttentionMaps().of(torch.zeros(1, 1, 3), (8, 8))


def spot(row: int, column: int) -> torch.Tensor:
    """A 4 x 4 map that looks at one place."""
    here = torch.full((4, 4), 0.01)
    here[row, column] = 0.9
    return here.flatten()


def test_outside_the_words_of_either_prompt_the_edit_is_its_source():
    maps = torch.zeros(2, 16, 2)
    maps[0, :, 0], maps[1, :, 1] = spot(0, 0), spot(3, 3)  # the target's word, and another of the source
    words = torch.tensor([[[1.0, 0], [0, 0]], [[0, 0], [0, 1]]])  # each occurs in one prompt alone
    blend = LocalBlend(words, 0.5, gathered(maps))
    mask = blend.mask((8, 8))[0, 0]
    assert bool(mask[:3, :3].all())
    assert bool(mask[5:, 5:].all())
    assert not bool(mask[5:, :3].any())
    assert not bool(mask[:3, 5:].any())
    x = torch.randn(2, 4, 8, 8)
    blended = blend(x, torch.tensor(0.5))
    assert torch.equal(blended[1], x[1])
    assert torch.equal(blended[0], torch.where(mask, x[0], x[1]))
    assert torch.equal(blend(x, torch.tensor(0.9)), x)  # the first maps say nothing yet


def test_a_hold_draws_for_its_own_rows():
    """RePaint-like noise in the hold: both halves get what one alone gets."""
    seen: list[torch.Tensor] = []

    def hold(x, s, noise):
        seen.append(noise(x))
        return x

    x = torch.zeros(2, 3)
    list(side_by_side(denoiser(torch.cat([TARGET, SOURCE])), DDPM(), x, TIMES[-3:], KeyedNoise([1, 2]), hold))
    assert [len(z) for z in seen] == [2] * 4
    assert torch.equal(seen[0], seen[1])
    assert math.isfinite(float(seen[0].sum()))


def test_one_knot_makes_no_move():
    x = torch.randn(2, 3)
    (step,) = side_by_side(denoiser(torch.cat([TARGET, SOURCE])), Heun(), x, torch.zeros(1), KeyedNoise([1, 2]))
    assert torch.equal(step.x, x)
    assert step.prediction is None


def test_companions_on_a_way_of_their_own_do_not_move_the_edited_rows():
    x, way = torch.randn(2, 3), torch.randn(2, 3)
    seen: list[float] = []

    def at(s):
        seen.append(float(s))
        return way * s

    both = bind(denoiser(torch.cat([TARGET, SOURCE])).denoiser, Condition((Label(torch.cat([TARGET, SOURCE]), None),)))
    blend = LocalBlend(torch.zeros(4, 1, 2), maps=gathered(torch.rand(4, 16, 2)))  # no word: all is the source's
    *_, alone = side_by_side(both, Sampler.registry.named("ddim"), x, TIMES, KeyedNoise([1, 2]), path=at)
    *_, plain = trajectory(denoiser(TARGET), Sampler.registry.named("ddim"), x, TIMES, KeyedNoise([1, 2]))
    assert seen == TIMES[1:].tolist()
    torch.testing.assert_close(alone.x, plain.x)
    spread = x.reshape(2, 3, 1, 1).expand(2, 3, 4, 4)
    assert blend(torch.cat([spread, spread + 1]), torch.tensor(0.5))[:2].equal(spread + 1)
