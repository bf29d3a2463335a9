import pytest
import torch

from sfumato.condition import Condition
from sfumato.denoise import GaussianMixture, bind
from sfumato.edit import Imputation, NoisedStart, NoiseStart
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import EDM, VE, Flow, VPLinear
from sfumato.times import grid, jumps

SHAPE = (2, 3, 6, 6)
generator = torch.Generator().manual_seed(0)
PICTURE = torch.rand(SHAPE, generator=generator) * 2 - 1
MASK = torch.zeros(1, 1, 6, 6)
MASK[..., :3] = 1
NOISE = KeyedNoise([1, 2])
each_sampler = pytest.mark.parametrize("name", Sampler.registry)


def run(name, schedule, mask, *, start=None, times=None, keep=None, steps=6):
    oracle = GaussianMixture(schedule, torch.randn(3, *SHAPE[1:], generator=torch.Generator().manual_seed(1)), 0.1)
    denoise = bind(oracle, Condition.empty(2))
    times = grid("uniform", steps, schedule) if times is None else times
    x, knots = (start or NoiseStart(torch.zeros(SHAPE)))(denoise, times, NOISE)
    hold = None if mask is None else Imputation(mask, keep).bind(PICTURE, schedule)
    return [step.x for step in trajectory(denoise, Sampler.registry.named(name), x, knots, NOISE, hold)]


@each_sampler
def test_a_white_mask_holds_nothing_and_changes_nothing_to_the_bit(name):
    free = run(name, VPLinear(), None)
    held = run(name, VPLinear(), torch.ones(1, 1, 6, 6))
    for a, b in zip(free, held, strict=True):
        assert torch.equal(a, b)


@each_sampler
@pytest.mark.parametrize("schedule", [VPLinear(), VE(), Flow(), EDM()], ids=repr)
def test_outside_the_mask_the_picture_stays_to_the_bit(name, schedule):
    end = run(name, schedule, MASK)[-1]
    assert torch.equal(end[..., 3:], PICTURE[..., 3:])
    assert not torch.isclose(end[..., :3], PICTURE[..., :3]).any()
    assert torch.equal(run(name, schedule, torch.zeros(1, 1, 6, 6))[-1], PICTURE)


def test_on_the_way_the_outside_is_the_picture_noised_to_that_time():
    schedule = VPLinear()
    xs = run("ddim", schedule, MASK)
    for i, (x, s) in enumerate(zip(xs, grid("uniform", 6, schedule)[1:], strict=True)):
        alpha, sigma = (float(a) for a in schedule(s))
        expected = alpha * PICTURE + sigma * NOISE.at("hold", i)(PICTURE)
        torch.testing.assert_close(x[..., 3:], expected[..., 3:])


def test_a_soft_mask_blends():
    mask = torch.linspace(0, 1, 6).expand(1, 1, 6, 6)
    hold = Imputation(mask).bind(PICTURE, VPLinear())
    x, zero = torch.randn(SHAPE), torch.tensor(0.0, dtype=torch.float64)
    torch.testing.assert_close(hold(x, zero, NOISE), mask * x + (1 - mask) * PICTURE)
    assert torch.equal(hold(x, zero, NOISE)[..., 0], PICTURE[..., 0])
    assert torch.equal(hold(x, zero, NOISE)[..., 5], x[..., 5])


def test_a_broken_inside_does_not_leak():
    x = torch.full(SHAPE, torch.nan)
    held = Imputation(MASK).bind(PICTURE, VPLinear())(x, torch.tensor(0.0, dtype=torch.float64), NOISE)
    assert torch.equal(held[..., 3:], PICTURE[..., 3:])
    assert held[..., :3].isnan().all()


def test_a_mask_may_have_any_shape_that_fits():
    x, zero = torch.randn(SHAPE), torch.tensor(0.0, dtype=torch.float64)
    mask = torch.tensor([1.0, 1, 1, 0, 0, 0])
    for shape in ((6,), (1, 6), (1, 1, 1, 6)):
        held = Imputation(mask.reshape(shape)).bind(PICTURE, VPLinear())(x, zero, NOISE)
        assert torch.equal(held, torch.where(mask == 1, x, PICTURE))


def test_it_may_hold_another_picture_and_a_mask_a_row():
    other = torch.full((1, 3, 6, 6), 0.25)
    masks = torch.stack([torch.zeros(1, 6, 6), torch.ones(1, 6, 6)])
    end = run("ddim", VPLinear(), masks, keep=other)[-1]
    assert (end[0] == 0.25).all()
    assert torch.equal(end[1], run("ddim", VPLinear(), None)[-1][1])


@each_sampler
def test_a_start_and_a_hold_combine(name):
    schedule = VPLinear()
    end = run(name, schedule, MASK, start=NoisedStart(PICTURE, 0.5))[-1]
    assert torch.equal(end[..., 3:], PICTURE[..., 3:])
    (kept,) = run(name, schedule, MASK, start=NoisedStart(PICTURE, 0.0))
    assert torch.equal(kept, PICTURE)


def test_repaint_is_the_hold_on_a_grid_with_jumps():
    schedule = VPLinear()
    end = run("ddpm", schedule, MASK, times=jumps(grid("uniform", 8, schedule), 2, 3))[-1]
    assert torch.equal(end[..., 3:], PICTURE[..., 3:])
    assert end.isfinite().all()


@pytest.mark.parametrize("name", ["ddim", "dpmpp-2m"])
def test_the_inside_answers_to_the_outside(name):
    """Two coupled coordinates: holding the first at +-1 must decide the second, as the data has it."""
    schedule = VPLinear()
    means = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    rows = 24
    keep = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).repeat(rows // 2, 1)
    noise = KeyedNoise(range(rows))
    denoise = bind(GaussianMixture(schedule, means, 0.02), Condition.empty(rows))
    hold = Imputation(torch.tensor([[0.0, 1.0]])).bind(keep, schedule)
    x, times = NoiseStart(keep)(denoise, jumps(grid("uniform", 40, schedule), 10, 5), noise)
    *_, last = trajectory(denoise, Sampler.registry.named(name), x, times, noise, hold)
    assert (last.x[:, 1].sign() == keep[:, 0]).float().mean() >= 0.9


def test_a_picture_of_a_batch_equals_it_alone():
    together = run("dpmpp-2m-sde", VPLinear(), MASK)[-1]
    schedule = VPLinear()
    oracle = GaussianMixture(schedule, torch.randn(3, *SHAPE[1:], generator=torch.Generator().manual_seed(1)), 0.1)
    denoise, noise = bind(oracle, Condition.empty(1)), KeyedNoise([2])
    x, times = NoiseStart(torch.zeros(1, *SHAPE[1:]))(denoise, grid("uniform", 6, schedule), noise)
    hold = Imputation(MASK).bind(PICTURE[1:], schedule)
    *_, alone = trajectory(denoise, Sampler.registry.named("dpmpp-2m-sde"), x, times, noise, hold)
    torch.testing.assert_close(together[1:], alone.x, rtol=0, atol=1e-5)


def test_a_dilated_mask_shrinks_to_itself_as_the_noise_falls():
    schedule, thin = VPLinear(), torch.zeros(1, 1, 6, 6)
    thin[..., 3] = 1
    hold = Imputation(thin, dilation=2).bind(PICTURE, schedule)
    for t, columns in ((1.0, [1, 2, 3, 4, 5]), (0.5, [2, 3, 4]), (0.4, [3]), (0.0, [3])):
        x = torch.full(SHAPE, 7.0)
        held = hold(x, torch.tensor(t, dtype=torch.float64), NOISE)
        assert (held == 7).all(dim=(0, 1, 2)).nonzero().flatten().tolist() == columns
    end = run("ddim", schedule, thin)[-1]
    assert torch.equal(end[..., [0, 1, 2, 4, 5]], PICTURE[..., [0, 1, 2, 4, 5]])


def test_masks_out_of_range_are_refused():
    for wrong in (torch.full((1, 1, 2, 2), 255.0), torch.full((1, 1, 2, 2), float("nan"))):
        with pytest.raises(BadInput, match="between 0"):
            Imputation(wrong)
