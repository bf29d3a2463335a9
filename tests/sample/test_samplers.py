"""Identities between samplers, ends of schedules, and what they refuse."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from one_seed import OneSeed

from sfumato.condition import Condition, Part
from sfumato.denoise import Gaussian, GaussianMixture, Prediction, bind
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import (
    DDIM,
    DDPM,
    DEIS,
    DPM2,
    LMS,
    PLMS,
    RK45,
    AdamsBashforth,
    DPMpp2M,
    DPMpp2S,
    DPMpp3M,
    DPMppSDE,
    Euler,
    Heun,
    Sampler,
    UniPC,
    trajectory,
)
from sfumato.sample.euler import Churn
from sfumato.sample.step import Knots
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, VPLinear
from sfumato.times import TimeGrid, grid, jumps

double = torch.float64
SCHEDULES = [Discrete.named(), VPLinear(), Cosine(), VE(), Flow(), EDM()]
MEANS = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=double)
NOISE = KeyedNoise(range(6))
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


def start(schedule, t=1.0, dtype=double):
    return NOISE(torch.zeros(6, 2, dtype=dtype), "start") * float(torch.hypot(*schedule(t)))


def walk(denoiser, solver, times, x=None, noise=NOISE, **options):
    x = start(denoiser.schedule, float(times[0])) if x is None else x
    return [step.x for step in trajectory(bind(denoiser, Condition.empty(len(x))), solver, x, times, noise, **options)]


def oracle(schedule, variance=0.1):
    return GaussianMixture(schedule, MEANS, variance)


@each_schedule
def test_ddim_is_euler(schedule):
    times = grid("uniform", 9, schedule)
    for a, b in zip(walk(oracle(schedule), DDIM(), times), walk(oracle(schedule), Euler(), times), strict=True):
        assert torch.equal(a, b)


@each_schedule
def test_ddim_with_eta_1_is_ddpm_with_small_variance(schedule):
    times = grid("uniform", 9, schedule)
    for a, b in zip(walk(oracle(schedule), DDIM(1.0), times), walk(oracle(schedule), DDPM(), times), strict=True):
        torch.testing.assert_close(a, b)


def test_euler_in_kappa_and_in_tau_is_ddim():
    schedule, times = VPLinear(), grid("uniform", 5, VPLinear(), 0.9)
    x = start(schedule, 0.9)
    steps = walk(oracle(schedule), DDIM(), times, x)
    for t, s, expected in zip(times[:-1], times[1:], steps, strict=True):
        p = oracle(schedule)(x, t)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
        in_kappa = alpha_s * (x / alpha_t + (sigma_s / alpha_s - sigma_t / alpha_t) * p.eps)
        tau_t, tau_s = sigma_t / (alpha_t + sigma_t), sigma_s / (alpha_s + sigma_s)
        in_tau = (alpha_s + sigma_s) * (x / (alpha_t + sigma_t) + (tau_s - tau_t) * (p.eps - p.x0))
        torch.testing.assert_close(expected, in_kappa)
        torch.testing.assert_close(expected, in_tau)
        x = expected


def test_ddim_with_eta_1_is_euler_ancestral_where_variance_explodes():
    schedule = VE()
    times = grid("karras", 8, schedule)
    x = start(schedule)
    for i, expected in enumerate(walk(oracle(schedule), DDIM(1.0), times)):
        p = oracle(schedule)(x, times[i])
        here, there = float(schedule(times[i])[1]), float(schedule(times[i + 1])[1])
        up = there * math.sqrt(here**2 - there**2) / here
        x = p.x0 + math.sqrt(there**2 - up**2) * p.eps
        if up > 0:
            x = x + up * NOISE(x, "step", i)
        torch.testing.assert_close(x, expected)


def test_the_posterior_of_ddpm_is_exact_for_one_picture():
    """With data of one point, one small-variance step has the forward process's own posterior: Ho et al., eq. 7."""
    schedule, point = VPLinear(), torch.tensor([[0.7]], dtype=double)
    t, s = torch.tensor([0.6, 0.5], dtype=double)
    x = torch.tensor([[1.3]], dtype=double)
    denoise = bind(GaussianMixture(schedule, point, 0.0), Condition.empty(1))
    (a_t, s_t), (a_s, s_s) = ([float(v) for v in schedule(time)] for time in (t, s))
    beta = 1 - (a_t / a_s) ** 2
    mean = a_s * beta / s_t**2 * 0.7 + (a_t / a_s) * s_s**2 / s_t**2 * 1.3
    variance = s_s**2 / s_t**2 * beta
    noise = KeyedNoise([0])
    got, _ = DDPM().step(denoise, x, t, s, None, noise)
    torch.testing.assert_close(got, mean + math.sqrt(variance) * noise(x))


def test_large_is_the_class_conditional_algorithm():
    """Saharia et al. 2021, algorithm 2: its variance 1 - alpha_t is beta, its last step adds none."""
    schedule, noise = Discrete.named(count=50), KeyedNoise([0])
    denoise, x = bind(oracle(schedule), Condition.empty(1)), torch.tensor([[0.4, -0.2]], dtype=double)
    for i in (49, 20, 0):
        t, s = torch.tensor([(i + 1) / 50, i / 50], dtype=double)
        alpha = float(schedule(t)[0] / schedule(s)[0]) ** 2
        gamma, f = float(schedule(t)[0]) ** 2, denoise(x, t).eps
        expected = (x - (1 - alpha) / math.sqrt(1 - gamma) * f) / math.sqrt(alpha)
        expected = expected + (math.sqrt(1 - alpha) * noise(x) if i > 0 else 0)
        torch.testing.assert_close(DDPM("large").step(denoise, x, t, s, None, noise)[0], expected)


class Learned:
    """An oracle whose network also says a variance fraction."""

    def __init__(self, schedule, fraction):
        self.schedule, self.fraction, self.oracle = schedule, fraction, oracle(schedule)

    def __call__(self, x, t, condition):
        p = self.oracle(x, t)
        return Prediction(p.x, p.x0, p.eps, p.alpha, p.sigma, fraction=torch.full_like(x, self.fraction))


@pytest.mark.parametrize("steps", [3, 50])
def test_a_learned_fraction_lies_between_the_variances_at_any_number_of_steps(steps):
    """The log-variance itself, reused at fewer steps, would end with 93 % too little."""
    schedule = VPLinear()
    times = grid("uniform", steps, schedule)
    for fraction, variance in ((0.0, "small"), (1.0, "large")):
        got = walk(Learned(schedule, fraction), DDPM("learned"), times)[-1]
        torch.testing.assert_close(got, walk(oracle(schedule), DDPM(variance), times)[-1])
    with pytest.raises(BadInput, match="no learned variance"):
        walk(oracle(schedule), DDPM("learned"), times)


def test_a_constant_v_goes_between_the_variances():
    """Ho & Salimans 2022, algorithm 2: (sigma~^2)^(1 - v) (sigma^2)^v; v = 0 is small, v = 1 large, 0.5 their root."""
    schedule, noise = VPLinear(), KeyedNoise([0])
    t, s = torch.tensor([0.6, 0.3], dtype=double)
    denoise, x = bind(oracle(schedule), Condition.empty(1)), torch.tensor([[0.4, 0.1]], dtype=double)
    mean, small = (DDPM(v).step(denoise, x, t, s, None, n)[0] for v, n in (("small", Silent()), ("small", noise)))
    large = DDPM("large").step(denoise, x, t, s, None, noise)[0]
    for v in (0.0, 0.3, 1.0):
        got, _ = DDPM("between", v).step(denoise, x, t, s, None, noise)
        spread = ((small - mean) / (large - mean)).abs() ** (1 - v)
        torch.testing.assert_close(got - mean, spread * (large - mean))
    assert DDPM("between").v == 0.3


class Silent:
    """No noise at all."""

    def at(self, *key):
        return self

    def __call__(self, like, *key):
        return torch.zeros_like(like)


@pytest.mark.parametrize("fraction", [-0.4, 0.0, 0.5, 1.0, 1.3])
@pytest.mark.parametrize("times", [[0.1, 0.0], [1.0, 0.0]])
def test_under_a_classifier_the_last_step_is_finite_for_any_learned_fraction(fraction, times):
    """beta tilde is 0 at s = 0: the papers' code puts that of the step before, which led to t, in its place."""
    schedule, b = VPLinear(), 0.8
    t, s = torch.tensor(times, dtype=double)
    x = torch.tensor([[0.4]], dtype=double)

    class Both(Shifted):
        def __call__(self, x, t, condition):
            return replace(super().__call__(x, t, condition), fraction=torch.full_like(x, fraction))

    got, _ = DDPM("learned").step(bind(Both(schedule, b), Condition.empty(1)), x, t, s, None, KeyedNoise([0]))
    plain = Gaussian(schedule, torch.zeros(1, dtype=double), 1.0)(x, t).x0
    (alpha, sigma), (above, more) = (tuple(float(v) for v in schedule(u)) for u in (t, min(2 * t, torch.ones(()))))
    large = sigma**2
    beta = more**2 - (above / alpha) ** 2 * sigma**2  # of the step that led to t
    small = large * beta / more**2 if t < 1 else large
    Sigma = large**fraction * small ** (1 - fraction)
    torch.testing.assert_close(got, plain + Sigma * b * alpha)


class Shifted:
    """N(0, 1) guided towards exp(b x0): the exact shift of x_t, inside x0 and eps, and kept beside them."""

    def __init__(self, schedule, b):
        self.schedule, self.b = schedule, b

    def __call__(self, x, t, condition):
        p = Gaussian(self.schedule, torch.zeros(1, dtype=double), 1.0)(x, t)
        shift = self.b * p.alpha * torch.ones_like(x)  # grad log E[exp(b x0) | x] for unit data
        return Prediction(
            p.x, p.x0 + p.sigma**2 / p.alpha * shift, p.eps - p.sigma * shift, p.alpha, p.sigma, shift=shift
        )


@pytest.mark.parametrize("variance", ["small", "large"])
def test_a_classifiers_shift_enters_ancestral_sampling_through_its_variance(variance):
    schedule, b = VPLinear(), 0.8
    t, s = torch.tensor([0.6, 0.3], dtype=double)
    x, noise = torch.tensor([[0.4]], dtype=double), KeyedNoise([0])
    plain = bind(Gaussian(schedule, torch.zeros(1, dtype=double), 1.0), Condition.empty(1))
    unguided, _ = DDPM(variance).step(plain, x, t, s, None, noise)
    guided, _ = DDPM(variance).step(bind(Shifted(schedule, b), Condition.empty(1)), x, t, s, None, noise)
    k = Knots.of(schedule, t, s)
    Sigma = (k.sigma_s if variance == "small" else k.sigma_t) ** 2 * k.fresh
    torch.testing.assert_close(guided, unguided + Sigma * b * k.alpha_t)


@pytest.mark.parametrize("solver", [DDPM("large"), DDIM()], ids=["ddpm", "ddim"])
def test_a_guided_gaussian_arrives_at_its_tilted_mean(solver):
    """N(0, 1) tilted by exp(b x) is N(b, 1): a shift of the wrong size would miss it."""
    schedule, b, noise = VPLinear(), 0.8, OneSeed()
    x = noise(torch.zeros(4000, 1, dtype=double), "start") + b * float(schedule(1.0)[0])
    end = walk(Shifted(schedule, b), solver, grid("uniform", 200, schedule), x, noise)[-1]
    assert float(end.mean()) == pytest.approx(b, abs=0.06)
    assert float(end.var()) == pytest.approx(1, abs=0.08)


SAMPLERS = [name for name in Sampler.registry if name != "langevin"]  # whose own tests are cheaper
PAIRS = [
    (name, times, SCHEDULES[(i + j) % len(SCHEDULES)])
    for i, name in enumerate(SAMPLERS)
    for j, times in enumerate(TimeGrid.registry)
]


@pytest.mark.parametrize(("name", "times", "schedule"), PAIRS, ids=lambda value: str(value).split("(")[0])
def test_every_sampler_on_every_grid_and_schedule(name, times, schedule):
    """Everything is finite (alpha(1) = 0 puts an infinite log-SNR into a multistep's memory) and lands on the data.

    The stochastic 3M doesn't quite on grids at whose end a step is many times the one before in log-SNR, and on
    beta-kappa, where it is more than that, the plain ones alone do.
    """
    data = oracle(schedule, 0.05)
    end = walk(data, Sampler.registry.named(name), grid(times, 40, schedule))[-1]
    assert end.isfinite().all()
    if times == "beta-kappa" and name not in ("ddim", "euler", "ddpm", "dpmpp-sde"):
        return
    distance = (end[:, None] - MEANS).norm(dim=-1).amin(1)
    far = name == "dpmpp-3m-sde" and times in ("leading", "linspace", "kl-optimal")
    assert (distance < (11 if far else 5) * math.sqrt(0.05)).all()


@pytest.mark.parametrize("name", Sampler.registry)
def test_float32_stays_float32(name):
    schedule = Discrete.named()
    x = start(schedule, dtype=torch.float32)
    assert (
        walk(oracle(schedule), Sampler.registry.named(name), grid("uniform", 3, schedule), x)[-1].dtype == torch.float32
    )


@pytest.mark.parametrize("name", sorted(Sampler.registry.keys() - {"rk45", "langevin"}))  # which take many
def test_one_step_to_0_is_the_posterior_mean(name):
    schedule = VPLinear()
    times = grid("uniform", 1, schedule)
    (end,) = walk(oracle(schedule), Sampler.registry.named(name), times)
    assert torch.equal(end, oracle(schedule)(start(schedule), times[0]).x0)


@pytest.mark.parametrize("name", sorted(Sampler.registry.keys() - {"predictor-corrector", "langevin", "consistency"}))
def test_a_step_from_t_to_t_stays(name):
    schedule = VPLinear()
    t = torch.tensor(0.37, dtype=double)
    x = start(schedule)
    solver = Sampler.registry.named(name)
    times = torch.stack([t, t])
    got, _ = solver.step(bind(oracle(schedule), Condition.empty(6)), x, t, t, solver.init(x, times), NOISE)
    torch.testing.assert_close(got, x)


def test_solvers_are_ddim_while_x0_does_not_change():
    """Data of one point: x0 is constant, so every correction is 0 and one step is as good as many."""
    schedule = Flow()
    data = GaussianMixture(schedule, MEANS[:1], 0.0)
    times = grid("uniform", 7, schedule)
    multistep = (DPMpp2M(), DPMpp3M(), DPMpp3M(exact=True), UniPC(3), DEIS(3, "heun"), AdamsBashforth(3), LMS())
    for solver in (Heun(), Heun("kappa"), DPMpp2S(), DPM2(), PLMS(), *multistep):
        for a, b in zip(walk(data, solver, times), walk(data, DDIM(), times), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_2m_forgets_an_infinite_step():
    """From alpha = 0, h is infinite: kept as memory, r = h_before/h would be inf or NaN."""
    schedule = Flow()
    solver, x = DPMpp2M(), start(schedule)
    times = grid("uniform", 4, schedule)
    denoise = bind(oracle(schedule), Condition.empty(6))
    _, state = solver.step(denoise, x, times[0], times[1], solver.init(x, times), NOISE)
    assert state.past == ()
    _, state = solver.step(denoise, x, times[1], times[2], state, NOISE)
    assert math.isfinite(state.past[0].place)
    _, state = solver.step(denoise, x, times[3], times[4], state, NOISE)
    assert state.past == ()


INVERTING = (
    *("ddim", "heun", "dpmpp-2m", "dpmpp-3m", "dpmpp-3m-exact", "unipc", "deis", "adams-bashforth", "rk45"),
    *("dpm2", "dpmpp-2s", "dpm-fast", "dpm-adaptive", "lms", "plms"),
)


@pytest.mark.parametrize("name", INVERTING)
@pytest.mark.parametrize("schedule", [VPLinear(), Flow()], ids=repr)
def test_inversion_comes_back(name, schedule):
    data, solver = Gaussian(schedule, torch.tensor([0.5, -0.3], dtype=double), 0.3), Sampler.registry.named(name)
    x = data.draw(6)
    falling = grid("log-snr", 200 if name == "ddim" else 60, schedule, 0.8)
    noised = walk(data, solver, falling.flip(0), x, up=None)[-1]
    torch.testing.assert_close(noised, data.flow(x, 0.0, 0.8), rtol=0, atol=0.03)
    back = walk(data, solver, falling, noised)[-1]
    torch.testing.assert_close(back, x, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    "solver", [DDPM(), DDIM(0.5), DPMpp2M(sde=True), DPMpp3M(sde=True), DPM2(1.0), DPMpp2S(0.5), DPMppSDE()], ids=repr
)
def test_samplers_that_add_noise_do_not_invert(solver):
    schedule = VPLinear()
    with pytest.raises(ValueError, match="cannot walk upwards"):
        walk(oracle(schedule), solver, grid("uniform", 5, schedule, 0.5).flip(0)[1:], up=None)


@pytest.mark.parametrize("solver", [Euler, Heun])
@each_schedule
def test_churn_off_is_off_and_on_keeps_the_data(solver, schedule):
    """At t = 1 there is no room above: the raise is read back from the schedule, not assumed."""
    data = oracle(schedule, 0.05)
    times = grid("karras", 40, schedule)
    plain, none = walk(data, solver(), times)[-1], walk(data, solver(churn=Churn(0.0)), times)[-1]
    assert torch.equal(plain, none)
    churned = walk(data, solver(churn=Churn(10.0)), times)[-1]
    assert not torch.equal(plain, churned)
    assert ((churned[:, None] - MEANS).norm(dim=-1).amin(1) < 4.5 * math.sqrt(0.05)).all()


@each_schedule
def test_churn_adds_exactly_the_forward_process(schedule):
    """x of the marginal at t becomes x of the marginal at the raised time: its variance says so."""
    t, s = torch.tensor([0.6, 0.5], dtype=double)
    denoise = bind(oracle(schedule), Condition.empty(1))
    zero = torch.zeros(1, 1, dtype=double)
    raised_x, raised = Churn(2.0)(denoise, zero, t, s, 10, KeyedNoise([0]))
    (a_t, s_t), (a_r, s_r) = schedule(t), schedule(raised)
    torch.testing.assert_close(s_r / a_r, 1.2 * s_t / a_t)
    added = (raised_x / KeyedNoise([0])(zero)).square()[0, 0]
    torch.testing.assert_close(added + (a_r / a_t * s_t).square(), s_r.square())
    same, top = Churn(2.0)(denoise, zero, torch.ones((), dtype=double), s, 10, KeyedNoise([0]))
    assert torch.equal(same, zero)
    assert float(top) == 1


def churned(schedule, amount, steps, at, interval=(0.0, 1.0), scale=1.0):
    """x = 0 at time `at`, raised: x and the factor on kappa."""
    t = torch.tensor(at, dtype=double)
    denoise, zero = bind(oracle(schedule), Condition.empty(1)), torch.zeros(1, 1, dtype=double)
    x, raised = Churn(amount, interval, scale)(denoise, zero, t, t / 2, steps, KeyedNoise([0]))
    (a_t, s_t), (a_r, s_r) = schedule(t), schedule(raised)
    return float(x), float(s_r / a_r / (s_t / a_t))


def test_churn_is_capped_scaled_and_kept_to_its_interval():
    """gamma = min(amount/steps, sqrt(2) - 1) while t lies in the interval, both ends in; `scale` is Karras' S_noise."""
    schedule = EDM()
    assert churned(schedule, 2.0, 10, 0.5)[1] == pytest.approx(1.2)
    assert churned(schedule, 4.0, 10, 0.5)[1] == pytest.approx(1.4)
    for amount in (4.2, 40.0):
        assert churned(schedule, amount, 10, 0.5)[1] == pytest.approx(math.sqrt(2))
    plain, half = (churned(schedule, 2.0, 10, 0.5, scale=scale)[0] for scale in (1.0, 0.5))
    assert half == pytest.approx(plain / 2)
    assert plain != 0
    for at, acts in ((0.29, False), (0.3, True), (0.5, True), (0.7, True), (0.71, False)):
        x, factor = churned(schedule, 2.0, 10, at, interval=(0.3, 0.7))
        assert (x != 0, factor != 1.0) == (acts, acts)


@pytest.mark.parametrize("solver", [Euler, Heun])
def test_churn_is_spread_over_the_steps_of_the_whole_walk(solver, monkeypatch):
    """Behind RePaint's rises too: Karras et al. 2022, algorithm 2, has one N."""
    counts, real = [], Churn.__call__

    def counted(self, denoise, x, t, s, steps, noise):
        counts.append(steps)
        return real(self, denoise, x, t, s, steps, noise)

    monkeypatch.setattr(Churn, "__call__", counted)
    times = jumps(grid("uniform", 6, VPLinear()), length=2, repeats=2)
    walk(GaussianMixture(VPLinear(), MEANS, 0.1), solver(churn=Churn(3.0)), times)
    assert set(counts) == {len(times) - 1}


def test_under_churn_what_is_told_changes_at_the_knots():
    """A raised time lies before the knot, where the words of the step before would hold still."""
    told = []

    class Told(Part):
        rows = 2

        def at(self, t):
            told.append(float(t))
            return self

    class Oracle(GaussianMixture):
        def __call__(self, x, t, condition):
            asked.append(float(t))
            return super().__call__(x, t, Condition.empty(2))

    asked: list[float] = []
    times = grid("uniform", 4, VPLinear())
    data = Oracle(VPLinear(), MEANS, 0.1)
    denoise = bind(data, Condition((Told(),)))
    x = start(VPLinear())[:2]
    list(trajectory(denoise, Euler(churn=Churn(2.0)), x, times, KeyedNoise([0, 1])))
    assert asked[1] > told[1]
    assert told == times[:-1].tolist()


def test_repaints_jumps_draw_from_the_data_too():
    schedule = VPLinear()
    times = jumps(grid("uniform", 40, schedule), length=10, repeats=3)
    for name in Sampler.registry:
        end = walk(oracle(schedule, 0.05), Sampler.registry.named(name), times)[-1]
        assert ((end[:, None] - MEANS).norm(dim=-1).amin(1) < 4.5 * math.sqrt(0.05)).all()


def test_wrong_samplers_are_refused_in_a_sentence():
    with pytest.raises(
        BadInput,
        match=r"the sampler 'dpm-slow' is unknown.*: accepted are adams-.*dpmpp-2m, dpmpp-2m-sde.*euler",
    ):
        Sampler.registry.named("dpm-slow")
    for name, option in (("unipc", "order"), ("deis", "order"), ("adams-bashforth", "order")):
        with pytest.raises(BadInput, match="order is 4: give 1, 2 or 3"):
            Sampler.registry.named(name, **{option: 4})
    with pytest.raises(BadInput, match="bh1 or bh2"):
        Sampler.registry.named("unipc", form="vary")
    with pytest.raises(BadInput, match="ddim or heun"):
        Sampler.registry.named("deis", first="rk4")
    with pytest.raises(BadInput, match=r"rtol is 0\.0: give a number above 0"):
        Sampler.registry.named("rk45", rtol=0.0)
    with pytest.raises(BadInput, match="sde or exact"):
        Sampler.registry.named("dpmpp-3m-exact", sde=True)
    with pytest.raises(BadInput, match="'churn' is unknown in DDIM: accepted are eta"):
        Sampler.registry.named("ddim", churn=3)
    with pytest.raises(BadInput, match=r"eta is 1\.5: give a number from 0"):
        Sampler.registry.named("ddim", eta=1.5)
    with pytest.raises(BadInput, match="small, large, between or learned"):
        Sampler.registry.named("ddpm", variance="fixed_small")
    with pytest.raises(BadInput, match="tau or kappa"):
        Sampler.registry.named("heun", form="sigma")


class Calls:
    """A mixture that keeps count of the times it was asked, and of the lowest."""

    def __init__(self, schedule):
        self.schedule, self.oracle, self.count, self.lowest = schedule, oracle(schedule), 0, 1.0

    def __call__(self, x, t, condition):
        self.count, self.lowest = self.count + 1, min(self.lowest, float(t.min()))
        return self.oracle(x, t)


@pytest.mark.parametrize(
    ("solver", "calls"),
    [(DPMpp3M(), 10), (DPMpp3M(exact=True), 11), (UniPC(3), 10), (DEIS(), 10), (DEIS(3, "heun"), 11),
     (AdamsBashforth(), 10), (AdamsBashforth(3), 11), (Heun(), 19), (LMS(), 10), (PLMS(), 11), (DPM2(), 19),
     (DPMpp2S(), 19), (DPMppSDE(), 19)],
    ids=repr,
)  # fmt: skip
def test_one_network_call_a_step(solver, calls):
    data = Calls(VPLinear())
    walk(data, solver, grid("log-snr", 10, data.schedule))
    assert data.count == calls
    assert data.lowest > 0


@each_schedule
def test_the_adaptive_solver_s_pictures_do_not_know_each_other(schedule):
    """One error norm over the batch moves picture 0 by its tolerance; here it stays, whoever stands beside it."""
    times, solver = grid("uniform", 3, schedule), RK45(1e-4, 1e-4)
    x = start(schedule)
    together = walk(oracle(schedule, 0.02), solver, times, x)[-1]
    for row in range(3):
        alone = walk(oracle(schedule, 0.02), solver, times, x[row : row + 1], KeyedNoise([row]))[-1]
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)


@each_schedule
def test_the_adaptive_solver_s_end_does_not_depend_on_the_grid(schedule):
    """It asks nothing of its own below `schedule.last`, and ends where the flow does, in one step as in ten."""
    data = Calls(schedule)
    ends = [walk(data, RK45(1e-7, 1e-7), grid("uniform", n, schedule))[-1] for n in (1, 10)]
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=5e-5)
    assert data.lowest == pytest.approx(min(schedule.last, 0.1))


def test_the_adaptive_solver_ends_with_a_network_that_is_not_smooth():
    class Rounded(Calls):
        def __call__(self, x, t, condition):
            super().__call__(x, t, condition)
            return self.oracle(x, (t * 1000).round().clamp(min=1) / 1000)

    data = Rounded(VPLinear())
    assert walk(data, RK45(1e-6, 1e-6), grid("uniform", 4, data.schedule))[-1].isfinite().all()
    assert data.count < 2000


def test_the_adaptive_solver_lets_nan_out():
    class Broken(Calls):
        def __call__(self, x, t, condition):
            p = super().__call__(x, t, condition)
            return p.moved(x0=p.x0 * torch.nan)

    data = Broken(VPLinear())
    assert walk(data, RK45(), grid("uniform", 4, data.schedule))[-1].isnan().all()
    assert data.count < 100


def test_unipc_corrects_where_it_stands_and_a_hold_keeps_its_word():
    """The correction moves x by alpha (C_corrected - C_predicted): a point held in between is carried on as held."""
    schedule = VPLinear()
    data, times = GaussianMixture(schedule, MEANS[:1], 0.0), grid("log-snr", 6, schedule)
    moved = walk(data, UniPC(3), times, hold=lambda x, s, noise: x + 0.1 * float(s))
    plain = walk(data, DDIM(), times, hold=lambda x, s, noise: x + 0.1 * float(s))
    for a, b in zip(moved, plain, strict=True):
        torch.testing.assert_close(a, b)


def sigma_and_picture(data, schedule, x, sigma):
    """k-diffusion's picture of a network at x of that sigma, on a variance-exploding schedule."""
    return data(x, schedule.time(sigma)).x0


def down_and_up(here, there):
    up = min(there, math.sqrt(there**2 * (here**2 - there**2) / here**2))
    return math.sqrt(there**2 - up**2), up


class Draws:
    """Three noises by what they are for."""

    def at(self, *key):
        return self

    def __call__(self, like, *key):
        return NOISE(like, *(key or ("end",)))


def test_ancestral_single_steps_are_k_diffusions():
    """`sample_dpmpp_2s_ancestral`, where alpha is 1: the middle between t and where the deterministic part ends."""
    schedule = VE()
    data, x = oracle(schedule), 4 * NOISE(torch.zeros(6, 2, dtype=double), "start")
    here, there = 4.0, 2.5
    down, up = down_and_up(here, there)
    middle = math.sqrt(here * down)
    first = sigma_and_picture(data, schedule, x, here)
    halfway = middle / here * x + (1 - middle / here) * first
    second = sigma_and_picture(data, schedule, halfway, middle)
    expected = down / here * x + (1 - down / here) * second + up * Draws()(x)
    t, s = (schedule.time(sigma) for sigma in (here, there))
    got, _ = DPMpp2S(1.0).step(bind(data, Condition.empty(6)), x, t, s, None, Draws())
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("eta", [1.0, 0.6])
def test_the_single_step_of_the_sde_is_k_diffusions(eta):
    """`sample_dpmpp_sde`, where alpha is 1: to the middle with noise, then with the picture seen there, whose noise is
    the Brownian motion's over both halves."""
    schedule = VE()
    data, x = oracle(schedule), 4 * NOISE(torch.zeros(6, 2, dtype=double), "start")
    here, there = 4.0, 2.5
    middle = math.sqrt(here * there)

    def parts(end):
        up = eta * down_and_up(here, end)[1]
        return math.sqrt(end**2 - up**2), up

    z = NOISE(x, "middle")
    whole = (z * math.sqrt(here - middle) + NOISE(x, "end") * math.sqrt(middle - there)) / math.sqrt(here - there)
    down, up = parts(middle)
    first = sigma_and_picture(data, schedule, x, here)
    halfway = down / here * x + (1 - down / here) * first + up * z
    second = sigma_and_picture(data, schedule, halfway, middle)
    down, up = parts(there)
    expected = down / here * x + (1 - down / here) * second + up * whole
    t, s = (schedule.time(sigma) for sigma in (here, there))
    got, _ = DPMppSDE(eta).step(bind(data, Condition.empty(6)), x, t, s, None, Draws())
    torch.testing.assert_close(got, expected)


def test_the_single_step_of_the_sde_without_noise_is_2s():
    schedule = Flow()
    times = grid("karras", 9, schedule)
    for a, b in zip(
        walk(oracle(schedule), DPMppSDE(0.0), times), walk(oracle(schedule), DPMpp2S(), times), strict=True
    ):
        assert torch.equal(a, b)


def by_hand(denoiser, times, move) -> list[torch.Tensor]:
    """x after each step of a solver that walks sigma: move(x, x0, sigma, next sigma, (sigma, x0) of the last step)."""
    x, before, found = start(denoiser.schedule), None, []
    for t, s in pairwise(times):
        sigma, after = float(denoiser.schedule(t)[1]), float(denoiser.schedule(s)[1])
        seen = bind(denoiser, Condition.empty(6))(x, t).x0
        x = seen if after == 0 else move(x, seen, sigma, after, before)
        before = (sigma, seen)
        found.append(x)
    return found


def test_res_multistep_is_its_makers_formula():
    """x' = e^-h x + h (b_1 D + b_2 D_before): b_2 = phi_2(-h)/c, b_1 = phi_1(-h) - b_2, c how far the step before lies
    on the axis -log sigma, in steps."""

    def move(x, seen, sigma, after, before):
        if before is None:
            return seen + after / sigma * (x - seen)
        h, c = math.log(sigma / after), math.log(sigma / before[0]) / math.log(sigma / after)
        first = math.expm1(-h) / -h
        second = (first - 1) / -h / c
        return math.exp(-h) * x + h * ((first - second) * seen + second * before[1])

    denoiser = oracle(VE())
    times = grid("karras", 8, denoiser.schedule)
    ours = walk(denoiser, Sampler.registry.named("res-multistep"), times)
    for mine, theirs in zip(ours, by_hand(denoiser, times, move), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-10)


@pytest.mark.parametrize("solver", ["midpoint", "heun"])
def test_in_tau_2m_of_flow_matching_is_what_comfyui_runs(solver):
    """Of a flow sigma is tau: k-diffusion's `sample_dpmpp_2m` and ComfyUI's `res_multistep`, told sigmas, walk log
    sigma, the first step from pure noise too."""

    def move(x, seen, sigma, after, before):
        h, mixed = math.log(sigma / after), seen
        if before is not None:
            r = math.log(before[0] / sigma) / h
            first = math.expm1(-h) / -h
            share = (first - 1) / -h / -r / first if solver == "heun" else -1 / (2 * r)
            mixed = (1 - share) * seen + share * before[1]
        return math.exp(-h) * x - math.expm1(-h) * mixed

    denoiser = oracle(Flow())
    times = grid("uniform", 8, denoiser.schedule)
    ours = walk(denoiser, DPMpp2M(solver=solver, form="tau"), times)
    for mine, theirs in zip(ours, by_hand(denoiser, times, move), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-10)
    with pytest.raises(BadInput, match="reverse SDE is walked in log kappa"):
        DPMpp2M(sde=True, form="tau")


def test_lms_is_adams_bashforth_with_alpha_1():
    """There kappa is sigma, and of even steps the weights are (3/2, -1/2), (23/12, ...), (55/24, ...)."""
    schedule = VE()
    data, sigmas = oracle(schedule), torch.linspace(5, 1, 6, dtype=double)
    x = 5 * NOISE(torch.zeros(6, 2, dtype=double), "start")
    weights = {0: [1], 1: [3 / 2, -1 / 2], 2: [23 / 12, -16 / 12, 5 / 12], 3: [55 / 24, -59 / 24, 37 / 24, -9 / 24]}
    expected, slopes = x, []
    for i in range(5):
        slopes.insert(0, data(expected, schedule.time(sigmas[i])).eps)
        slope = sum(weight * each for weight, each in zip(weights[min(i, 3)], slopes, strict=False))
        expected = expected + (sigmas[i + 1] - sigmas[i]) * slope
    torch.testing.assert_close(walk(data, LMS(), schedule.time(sigmas), x)[-1], expected)
