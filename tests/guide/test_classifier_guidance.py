"""Classifier guidance against the oracle: a labelled mixture, whose p(y|x_t) is known in closed form."""

from itertools import pairwise

import pytest
import torch

from sfumato.condition import Condition, Label
from sfumato.denoise import GaussianMixture, bind
from sfumato.guide import ClassifierFree, ClassifierGradient, Guided, MixtureClassifier
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDPM, Sampler, trajectory
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, VPLinear
from sfumato.times import grid

MEANS = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, -1.0]], dtype=torch.float64)
WEIGHTS, LABELS, NONE = torch.tensor([1.0, 2.0, 1.0]), torch.tensor([0, 1, 1]), 9
SCHEDULES = [VPLinear(), Cosine(), Flow(), VE(), EDM(), Discrete.named("scaled_linear", 1000, 0.00085, 0.012)]
T = torch.tensor(0.5, dtype=torch.float64)


class World:
    """The mixture with and without its labels, and its classifier; both count what they are asked."""

    def __init__(self, schedule=SCHEDULES[0]):
        self.schedule = schedule
        self.labelled = GaussianMixture(schedule, MEANS, 0.25, WEIGHTS, LABELS)
        self.plain = GaussianMixture(schedule, MEANS, 0.25, WEIGHTS)
        self.exact = MixtureClassifier(self.labelled)
        self.classes, self.asked = self.exact.classes, 0

    def logits(self, x, t):
        self.asked += 1
        assert t.shape == (len(x),)
        return self.exact.logits(x, t)

    def accuracy(self, x):
        return float((self.exact.logits(x, torch.zeros(len(x))).argmax(1) == 0).double().mean())


def points(rows=6, dtype=torch.float64):
    return torch.randn(rows, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def asking(*ids):
    return Condition((Label(torch.tensor(ids), NONE),))


def walk(denoiser, condition, how, steps=8, kind="uniform"):
    noise = KeyedNoise(range(condition.rows))
    schedule = denoiser.schedule
    x = float(schedule(1.0)[1]) * noise(torch.zeros(condition.rows, 2, dtype=torch.float64), "start")
    *_, last = trajectory(bind(denoiser, condition), how, x, grid(kind, steps, schedule), noise)
    return last.x


class Silence:
    """No noise: what is left of an ancestral step is its mean."""

    def __call__(self, like, *key):
        return torch.zeros_like(like)

    def at(self, *key):
        return self


def test_the_oracle_classifier_is_bayes_rule():
    world, x = World(), points()
    t = torch.full((6,), 0.3, dtype=torch.float64)
    p = world.exact.logits(x, t).softmax(1)
    prior = torch.tensor([0.25, 0.75], dtype=torch.float64)
    density = world.plain.log_density(x, t).exp()
    for y in (0, 1):
        given = world.labelled.log_density(x, t, asking(*[y] * 6)).exp()
        torch.testing.assert_close(p[:, y], given * prior[y] / density)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("t", [0.02, 0.5, 0.99])
def test_scale_1_makes_the_unconditional_denoiser_the_conditional_one(schedule, t):
    world, condition, x = World(schedule), asking(0, 1, 0, 1, 1, 0), 3 * points()
    t = torch.tensor(t, dtype=torch.float64)
    p = Guided(world.plain, [ClassifierGradient(world, 1.0)])(x, t, condition)
    c = world.labelled(x, t, condition)
    torch.testing.assert_close(p.eps, c.eps, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(p.x0, c.x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(p.shift, world.labelled.score(x, t, condition) - world.plain.score(x, t))


def test_single_precision_stays_near_at_the_noisy_end():
    """x0 moves by sigma^2/alpha g: at small alpha the gradient must not lose what that factor blows up."""
    world, condition = World(Discrete.named("squaredcos_cap_v2")), asking(0, 1, 0, 1, 1, 0)
    for t in (1.0, 0.999, 0.95):
        t = torch.tensor(t, dtype=torch.float64)
        p = Guided(world.plain, [ClassifierGradient(world)])(points(dtype=torch.float32), t, condition)
        c = world.labelled(points(), t, condition)
        assert p.x0.dtype == torch.float32
        torch.testing.assert_close(p.x0.double(), c.x0, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", sorted(Sampler.registry.keys() - {"ddpm", "predictor-corrector"}))  # both ancestral
def test_every_sampler_draws_what_it_draws_from_the_conditional_model(name):
    world, condition = World(), asking(0, 1, 0, 1, 1, 0)
    guided = walk(Guided(world.plain, [ClassifierGradient(world)]), condition, Sampler.registry.named(name))
    torch.testing.assert_close(
        guided, walk(world.labelled, condition, Sampler.registry.named(name)), rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_the_ancestral_mean_moves_by_sigma_times_the_gradient(variance, scale):
    """Dhariwal & Nichol 2021, algorithm 1, to the letter."""
    world, condition, x = World(), asking(0, 1, 0, 1, 1, 0), points()
    t, s = torch.tensor([0.6, 0.4], dtype=torch.float64)
    step = DDPM(variance).step
    mean, _ = step(bind(world.plain, condition), x, t, s, None, Silence())
    moved, _ = step(bind(Guided(world.plain, [ClassifierGradient(world, scale)]), condition), x, t, s, None, Silence())
    (alpha_t, sigma_t), (alpha_s, sigma_s) = world.schedule(t), world.schedule(s)
    fresh = 1 - (alpha_t * sigma_s / (sigma_t * alpha_s)) ** 2
    Sigma = fresh * (sigma_s if variance == "small" else sigma_t) ** 2
    g = world.labelled.score(x, t, condition) - world.plain.score(x, t)
    torch.testing.assert_close(moved, mean + scale * Sigma * g)


def test_the_ancestral_form_tends_to_the_conditional_model_with_more_steps():
    condition = asking(*[0] * 16)
    far = []
    for steps in (10, 20, 40):
        world = World()
        guided = walk(Guided(world.plain, [ClassifierGradient(world)]), condition, DDPM("large"), steps)
        far.append(float((guided - walk(world.labelled, condition, DDPM("large"), steps)).abs().mean()))
    ratios = [a / b for a, b in pairwise(far)]
    assert all(1.6 < ratio < 2.6 for ratio in ratios), (far, ratios)


@pytest.mark.parametrize("schedule", [VE(), EDM()], ids=lambda s: type(s).__name__)
def test_with_the_large_variance_the_ancestral_form_is_exact_where_alpha_is_constant(schedule):
    world, condition = World(schedule), asking(0, 1, 0, 1, 1, 0)
    guided = walk(Guided(world.plain, [ClassifierGradient(world)]), condition, DDPM("large"))
    torch.testing.assert_close(guided, walk(world.labelled, condition, DDPM("large")))


def test_beta_tilde_at_few_steps_shifts_too_little():
    """The paper's Sigma is Bayes' only in the limit: over 20 steps the smaller variance misses the class."""
    world, condition = World(), asking(*[0] * 120)
    guided = Guided(world.plain, [ClassifierGradient(world)])
    assert world.accuracy(walk(world.labelled, condition, Sampler.registry.named("ddim"), 20)) > 0.9
    assert world.accuracy(walk(guided, condition, Sampler.registry.named("ddim"), 20)) > 0.9
    assert world.accuracy(walk(guided, condition, DDPM("large"), 20)) > 0.85
    assert world.accuracy(walk(guided, condition, DDPM("small"), 20)) < 0.8


def test_a_larger_scale_buys_accuracy_with_diversity():
    """The trade-off of Dhariwal & Nichol's table 4."""
    world, condition = World(), asking(*[0] * 200)
    found = []
    for scale in (0.0, 1.0, 3.0, 9.0):
        x = walk(
            Guided(world.plain, [ClassifierGradient(world, scale)]),
            condition,
            Sampler.registry.named("heun"),
            12,
            "log-snr",
        )
        found.append((world.accuracy(x), float(x.std(0).norm())))
    accuracy, spread = zip(*found, strict=True)
    assert accuracy[0] == pytest.approx(0.25, abs=0.1)
    assert accuracy[1] > 0.85
    assert accuracy[2] == accuracy[3] == 1.0
    assert spread[0] > spread[1] > spread[2] > spread[3]


def test_on_a_conditional_denoiser_it_counts_the_class_once_more():
    """score_c + s grad log p(y|x) = score_c + s (score_c - score_u): classifier-free guidance of scale 1 + s."""
    world, condition, x = World(), asking(0, 1, 0, 1, 1, 0), points()
    p = Guided(world.labelled, [ClassifierGradient(world, 2.5)])(x, T, condition)
    free = Guided(world.labelled, [ClassifierFree(3.5)])(x, T, condition)
    torch.testing.assert_close(p.x0, free.x0)
    torch.testing.assert_close(p.eps, free.eps)


def test_the_label_may_be_the_guidances_own():
    """The network is told nothing, or that there is no class; the classifier's class is the guidance's."""
    world, x = World(), points()
    c = world.labelled(x, T, asking(*[1] * 6))
    for condition in (asking(*[NONE] * 6), Condition.empty(6)):
        p = Guided(world.labelled, [ClassifierGradient(world, label=1)])(x, T, condition)
        torch.testing.assert_close(p.x0, c.x0)


def test_rows_without_a_class_are_left_to_the_bit():
    world, x = World(), points()
    p = Guided(world.plain, [ClassifierGradient(world, 3.0)])(x, T, asking(0, NONE, 1, NONE, 0, NONE))
    plain = world.plain(x, T)
    assert torch.equal(p.x0[1::2], plain.x0[1::2])
    assert torch.equal(p.eps[1::2], plain.eps[1::2])
    assert not torch.isclose(p.x0[::2], plain.x0[::2]).any()


@pytest.mark.parametrize("trained", [VPLinear(), Flow(), EDM()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_a_classifier_of_another_schedule_reads_the_same_picture(schedule, trained):
    world, condition, x = World(schedule), asking(0, 1, 0, 1, 1, 0), points()
    foreign = World(trained)
    p = Guided(world.plain, [ClassifierGradient(foreign)])(x, T, condition)
    torch.testing.assert_close(p.x0, world.labelled(x, T, condition).x0, rtol=1e-7, atol=1e-7)


def test_rows_may_have_times_of_their_own():
    world, condition, x = World(), asking(0, 1, 0), points(3)
    t = torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64)
    for schedule in (world.schedule, Flow()):
        guided = Guided(world.plain, [ClassifierGradient(World(schedule), 3.3, interval=(0.2, 0.6))])
        together = guided(x, t, condition)
        for row in range(3):
            index = torch.tensor([row])
            alone = guided(x[index], t[row], condition.select(index))
            torch.testing.assert_close(together.x0[index], alone.x0)
        plain = world.plain(x, t)
        assert torch.equal(together.x0[::2], plain.x0[::2])


def test_off_means_off_to_the_bit_and_costs_nothing():
    world, condition, x = World(), asking(0, 1, 0, 1, 1, 0), points()
    for guidance in (ClassifierGradient(world, 0.0), ClassifierGradient(world, 2.0, interval=(0.6, 1.0))):
        p = Guided(world.plain, [guidance])(x, T, condition)
        assert torch.equal(p.x0, world.plain(x, T).x0)
        assert p.shift is None
    assert world.asked == 0


def test_at_alpha_0_the_picture_tells_nothing():
    """The cosine's alpha(1) is 0: there the prediction stays as it is, and DDPM takes its step."""
    world, condition = World(Cosine()), asking(0, 1, 0, 1, 1, 0)
    guided = Guided(world.plain, [ClassifierGradient(world)])
    one = torch.tensor(1.0, dtype=torch.float64)
    assert torch.equal(guided(points(), one, condition).x0, world.plain(points(), one).x0)
    assert walk(guided, condition, DDPM()).isfinite().all()


def test_the_answer_carries_no_graph_and_the_callers_mode_stands():
    world, condition = World(), asking(0, 1, 0, 1, 1, 0)
    guided = Guided(world.plain, [ClassifierGradient(world)])
    with torch.no_grad():
        inside = guided(points(), T, condition)
        assert not torch.is_grad_enabled()
    outside = guided(points(), T, condition)
    assert torch.equal(inside.eps, outside.eps)
    for p in (inside, outside):
        assert not any(a.requires_grad for a in (p.x0, p.eps, p.shift) if a is not None)


def test_what_is_missing_is_said():
    world = World()
    with pytest.raises(BadInput, match="needs a class"):
        Guided(world.plain, [ClassifierGradient(world)])(points(), T, Condition.empty(6))
    with pytest.raises(BadInput, match="0 to 1, not 7"):
        Guided(world.plain, [ClassifierGradient(world)])(points(), T, asking(0, 1, 7, 0, 0, 0))
    with pytest.raises(BadInput, match="0 to 1, not 2"):
        Guided(world.plain, [ClassifierGradient(world, label=2)])(points(), T, Condition.empty(6))
    with pytest.raises(BadInput, match="low <= high"):
        ClassifierGradient(world, interval=(0.6, 0.2))
    with pytest.raises(ValueError, match="labels"):
        MixtureClassifier(world.plain)
