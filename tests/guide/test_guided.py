import math

import pytest
import torch

from sfumato.condition import Condition, Label, Text
from sfumato.denoise import GaussianMixture, Prediction, bind
from sfumato.guide import ClassifierFree, DynamicThreshold, Guidance, Guided, StaticThreshold
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import Flow, VPLinear
from sfumato.times import grid

SCHEDULE = VPLinear()
MEANS = torch.tensor([[1.0, 0.0], [-1.0, 0.5]])
CONDITION = Condition((Label(torch.tensor([0, 1, 0]), none=9),))


class Counting:
    """The labelled mixture, remembering how often and with how many rows it was called."""

    def __init__(self, schedule=SCHEDULE):
        self.schedule, self.rows = schedule, []
        self.oracle = GaussianMixture(schedule, MEANS, 0.2, labels=torch.tensor([0, 1]))

    def __call__(self, x, t, condition):
        self.rows.append(len(x))
        assert condition.rows == len(x)
        return self.oracle(x, t, condition)


def points(dtype=torch.float32):
    return torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).to(dtype)


def time(t):
    return torch.tensor(t, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0, 7.5])
def test_it_extrapolates_from_the_unconditional_branch_in_one_call(scale):
    network = Counting()
    x, t = points(torch.float64), time(0.5)
    p = Guided(network, [ClassifierFree(scale)])(x, t, CONDITION)
    assert network.rows == [6]
    c, u = network.oracle(x, t, CONDITION), network.oracle(x, t, CONDITION.null())
    torch.testing.assert_close(p.x0, u.x0 + scale * (c.x0 - u.x0))
    torch.testing.assert_close(p.eps, u.eps + scale * (c.eps - u.eps))
    torch.testing.assert_close(p.alpha * p.x0 + p.sigma * p.eps, x)


def test_scale_1_is_off_to_the_bit_and_costs_nothing():
    network = Counting()
    p = Guided(network, [ClassifierFree(1.0, rescale=0.7)])(points(), time(0.5), CONDITION)
    plain = Counting()(points(), time(0.5), CONDITION)
    assert network.rows == [3]
    assert torch.equal(p.x0, plain.x0)
    assert torch.equal(p.eps, plain.eps)
    unconditional = Guided(network, [ClassifierFree(1.0)])(points(), time(0.5), Condition.empty(3))
    assert unconditional.x0.isfinite().all()


def test_outside_its_interval_only_the_conditional_branch_is_called():
    network = Counting()
    guided = Guided(network, [ClassifierFree(4.0, interval=(0.2, 0.6))])
    noise = KeyedNoise(range(3))
    x = noise(torch.zeros(3, 2), "start")
    times = grid("uniform", 10, SCHEDULE)
    for _ in trajectory(bind(guided, CONDITION), Sampler.registry.named("ddim"), x, times, noise):
        pass
    assert network.rows == [6 if 0.2 <= t <= 0.6 else 3 for t in times[:-1].tolist()]
    plain = Counting()(points(), time(0.7), CONDITION)
    assert torch.equal(guided(points(), time(0.7), CONDITION).x0, plain.x0)


def test_rows_may_have_times_of_their_own():
    network = Counting()
    guided = Guided(network, [ClassifierFree(4.0, interval=(0.2, 0.6))])
    x, t = points(), torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64)
    p = guided(x, t, CONDITION)
    for row in range(3):
        index = torch.tensor([row])
        alone = guided(x[index], t[row], CONDITION.select(index))
        torch.testing.assert_close(p.x0[index], alone.x0)
        torch.testing.assert_close(p.eps[index], alone.eps)


def test_rescale_brings_the_deviation_back():
    network = Counting()
    x, t = torch.randn(3, 2), time(0.5)
    c = network.oracle(x, t, CONDITION)
    plain = Guided(network, [ClassifierFree(5.0)])(x, t, CONDITION)
    for phi in (0.7, 1.0):
        p = Guided(network, [ClassifierFree(5.0, rescale=phi)])(x, t, CONDITION)
        expected = phi * c.x0.std(1) + (1 - phi) * plain.x0.std(1)
        torch.testing.assert_close(p.x0.std(1), expected)
        torch.testing.assert_close((p.alpha * p.x0 + p.sigma * p.eps).float(), x)


def test_guided_samples_lie_where_the_sharpened_class_does():
    """Equal covariances: the guided score points away from the other class, past its own mean."""
    noise = KeyedNoise(range(64))
    condition = Condition((Label(torch.zeros(64, dtype=torch.long), none=9),))
    x = noise(torch.zeros(64, 2), "start")

    def mean(scale):
        denoise = bind(Guided(Counting(), [ClassifierFree(scale)]), condition)
        *_, last = trajectory(denoise, Sampler.registry.named("heun"), x, grid("log-snr", 30, SCHEDULE), noise)
        return float(last.x[:, 0].mean())

    # the classes' midpoint, the class's mean, and further out
    assert mean(0.0) == pytest.approx(0, abs=0.3)
    assert mean(1.0) == pytest.approx(1, abs=0.1)
    assert mean(4.0) > 1.1


def test_scale_1_and_unguided_make_the_same_picture_to_the_bit():
    noise = KeyedNoise(range(3))
    x = noise(torch.zeros(3, 2), "start")
    ends = []
    for denoiser in (Counting(), Guided(Counting(), []), Guided(Counting(), [ClassifierFree(1.0)])):
        denoise = bind(denoiser, CONDITION)
        *_, last = trajectory(denoise, Sampler.registry.named("dpmpp-2m-sde"), x, grid("uniform", 8, SCHEDULE), noise)
        ends.append(last.x)
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


class Nudge(Guidance):
    """A guidance with a branch of its own, and the shared unconditional one."""

    def branches(self, condition, t):
        return {"unconditional": condition.null(), "other": condition.select([1, 0, 1])}

    def combine(self, current: Prediction, outs, x, t):
        toward = outs["conditional"].x0 - outs["other"].x0
        return current.moved(x0=current.x0 + 0.5 * toward)


def test_guidances_share_branches_and_add_up_in_one_call():
    """u + gamma (c - u) + s (c - p): neither order of nested denoisers gives it."""
    network = Counting()
    x, t = points(torch.float64), time(0.5)
    p = Guided(network, [ClassifierFree(3.0), Nudge()])(x, t, CONDITION)
    assert network.rows == [9]
    c, u = network.oracle(x, t, CONDITION), network.oracle(x, t, CONDITION.null())
    other = network.oracle(x, t, CONDITION.select([1, 0, 1]))
    torch.testing.assert_close(p.x0, u.x0 + 3 * (c.x0 - u.x0) + 0.5 * (c.x0 - other.x0))
    swapped = Guided(network, [Nudge(), ClassifierFree(3.0)])(x, t, CONDITION)
    torch.testing.assert_close(swapped.x0, p.x0)


def test_the_union_is_built_once_and_again_for_another_condition(monkeypatch):
    built = []
    original = Condition.cat.__func__  # type: ignore[attr-defined]

    def counting(cls, conditions):
        built.append(len(conditions))
        return original(cls, conditions)

    monkeypatch.setattr(Condition, "cat", classmethod(counting))
    guided = Guided(Counting(), [ClassifierFree(3.0)])
    for t in (0.9, 0.5, 0.1):
        guided(points(), time(t), CONDITION)
    assert built == [2]
    other = Condition((Label(torch.tensor([1, 1, 1]), none=9),))
    p = guided(points(), time(0.5), other)
    assert built == [2, 2]
    torch.testing.assert_close(p.x0, Guided(Counting(), [ClassifierFree(3.0)])(points(), time(0.5), other).x0)


def test_a_negative_prompt_is_the_unconditional_branch():
    seen = []

    class Network:
        schedule = SCHEDULE

        def __call__(self, x, t, condition):
            seen.append(condition)
            alpha, sigma = SCHEDULE(t)
            return Prediction(x, x, x, alpha, sigma)

    negative = Text(torch.full((1, 4, 3), 7.0))
    condition = Condition((Text(torch.zeros(2, 4, 3), negative=negative),))
    Guided(Network(), [ClassifierFree(2.0)])(torch.zeros(2, 2), time(0.5), condition)
    (union,) = seen
    assert union.get(Text).embeds[:, 0, 0].tolist() == [0, 0, 7, 7]
    assert union.branch.tolist() == [0, 0, 1, 1]
    assert union.picture.tolist() == [0, 1, 0, 1]


def test_guidance_without_anything_to_drop_is_refused():
    with pytest.raises(BadInput, match="nothing to drop"):
        Guided(Counting(), [ClassifierFree(2.0)])(points(), time(0.5), Condition.empty(3))


def test_wrong_numbers_are_refused():
    with pytest.raises(BadInput, match="low <= high"):
        ClassifierFree(2.0, interval=(0.6, 0.2))
    with pytest.raises(BadInput, match=r"rescale is 2\.0: give a number from 0"):
        ClassifierFree(2.0, rescale=2.0)
    for wrong in (lambda: StaticThreshold(0.0), lambda: DynamicThreshold(limit=-1.0)):
        with pytest.raises(BadInput, match=r"give a number from 0\.001"):
            wrong()
    with pytest.raises(BadInput, match="a fraction"):
        DynamicThreshold(99.5)


class Fixed:
    """A denoiser that always sees the same picture."""

    def __init__(self, x0, schedule=SCHEDULE):
        self.x0, self.schedule = x0, schedule

    def __call__(self, x, t, condition):
        alpha, sigma = self.schedule(t)
        a, s = alpha.to(x.dtype), sigma.to(x.dtype)
        return Prediction(x, self.x0, (x - a * self.x0) / s, alpha, sigma)


def test_static_threshold_clips_and_eps_follows():
    x0 = torch.tensor([[[0.5, -2.0, 3.0]]], dtype=torch.float64)
    x = torch.randn(1, 1, 3, dtype=torch.float64)
    p = Guided(Fixed(x0), [StaticThreshold(1.0)])(x, time(0.5), Condition.empty(1))
    assert p.x0.tolist() == [[[0.5, -1.0, 1.0]]]
    torch.testing.assert_close(p.alpha * p.x0 + p.sigma * p.eps, x)


@pytest.mark.parametrize("largest", [1000.0, 1.5, 1.0])
def test_dynamic_threshold_is_that_of_diffusers(largest: float):
    from diffusers import DDIMScheduler

    x0 = 2 * torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    x0[1] *= 0.1
    stock = DDIMScheduler(thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=largest)
    stock = stock._threshold_sample(x0)
    guidance = DynamicThreshold(0.9, largest=largest)
    p = Guided(Fixed(x0), [guidance])(torch.randn_like(x0), time(0.5), Condition.empty(4))
    torch.testing.assert_close(p.x0, stock)
    assert p.x0.abs().amax() <= 1


def test_a_picture_within_the_limit_is_left_to_the_bit():
    x0 = torch.rand(2, 3, 4, 4) * 2 - 1
    x = torch.randn_like(x0)
    plain = Fixed(x0)(x, time(0.4), None)
    for guidance in (StaticThreshold(), DynamicThreshold()):
        p = Guided(Fixed(x0), [guidance])(x, time(0.4), Condition.empty(2))
        assert torch.equal(p.x0, plain.x0)
        assert torch.equal(p.eps, plain.eps)


def test_thresholds_are_per_picture():
    x0 = torch.randn(3, 4, 4) * torch.tensor([0.1, 3.0, 9.0])[:, None, None]
    together = Guided(Fixed(x0), [DynamicThreshold(0.9)])(torch.zeros_like(x0), time(0.4), Condition.empty(3))
    for row in range(3):
        alone = Guided(Fixed(x0[row : row + 1]), [DynamicThreshold(0.9)])(
            torch.zeros(1, 4, 4), time(0.4), Condition.empty(1)
        )
        assert torch.equal(together.x0[row : row + 1], alone.x0)


def test_thresholding_keeps_strong_guidance_inside():
    noise = KeyedNoise(range(3))
    x = noise(torch.zeros(3, 2), "start")

    def furthest(*guidances):
        denoise = bind(Guided(Counting(Flow()), guidances), CONDITION)
        *_, last = trajectory(denoise, Sampler.registry.named("ddim"), x, grid("uniform", 30, Flow()), noise)
        return float(last.x.abs().max())

    wild, tamed = furthest(ClassifierFree(20.0)), furthest(ClassifierFree(20.0), StaticThreshold(1.0))
    assert wild > 1.3
    assert tamed <= 1 + 1e-6
    assert math.isfinite(wild)
