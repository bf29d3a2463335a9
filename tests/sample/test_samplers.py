"""Identities between samplers, ends of schedules, and what they refuse."""

import math

import pytest
import torch
from one_seed import OneSeed

from sfumato.condition import Condition
from sfumato.denoise import Gaussian, GaussianMixture, Prediction, bind
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDIM, DDPM, SAMPLERS, DPMpp2M, Euler, Heun, sampler, trajectory
from sfumato.sample.euler import Churn
from sfumato.sample.step import Knots
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, VPLinear
from sfumato.times import GRIDS, grid, jumps

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


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("times", GRIDS)
@each_schedule
def test_every_sampler_on_every_grid_and_schedule(name, times, schedule):
    """Everything is finite (alpha(1) = 0 puts an infinite log-SNR into a multistep's memory) and lands on the data."""
    data = oracle(schedule, 0.05)
    end = walk(data, sampler(name), grid(times, 40, schedule))[-1]
    assert end.isfinite().all()
    distance = (end[:, None] - MEANS).norm(dim=-1).amin(1)
    assert (distance < 4.5 * math.sqrt(0.05)).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_float32_stays_float32(name):
    schedule = Discrete.named()
    x = start(schedule, dtype=torch.float32)
    assert walk(oracle(schedule), sampler(name), grid("uniform", 3, schedule), x)[-1].dtype == torch.float32


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step_to_0_is_the_posterior_mean(name):
    schedule = VPLinear()
    times = grid("uniform", 1, schedule)
    (end,) = walk(oracle(schedule), sampler(name), times)
    assert torch.equal(end, oracle(schedule)(start(schedule), times[0]).x0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_step_from_t_to_t_stays(name):
    schedule = VPLinear()
    t = torch.tensor(0.37, dtype=double)
    x = start(schedule)
    solver = sampler(name)
    times = torch.stack([t, t])
    got, _ = solver.step(bind(oracle(schedule), Condition.empty(6)), x, t, t, solver.init(x, times), NOISE)
    torch.testing.assert_close(got, x)


def test_solvers_are_ddim_while_x0_does_not_change():
    """Data of one point: x0 is constant, so every correction is 0 and one step is as good as many."""
    schedule = Flow()
    data = GaussianMixture(schedule, MEANS[:1], 0.0)
    times = grid("uniform", 7, schedule)
    for solver in (Heun(), Heun("kappa"), DPMpp2M()):
        for a, b in zip(walk(data, solver, times), walk(data, DDIM(), times), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_2m_forgets_an_infinite_step():
    """From alpha = 0, h is infinite: kept as memory, r = h_before/h would be inf or NaN."""
    schedule = Flow()
    solver, x = DPMpp2M(), start(schedule)
    times = grid("uniform", 4, schedule)
    denoise = bind(oracle(schedule), Condition.empty(6))
    _, state = solver.step(denoise, x, times[0], times[1], None, NOISE)
    assert state is None
    _, state = solver.step(denoise, x, times[1], times[2], None, NOISE)
    assert state is not None
    assert math.isfinite(state.h)
    _, state = solver.step(denoise, x, times[3], times[4], state, NOISE)
    assert state is None


@pytest.mark.parametrize("solver", [DDIM(), Heun(), DPMpp2M()], ids=repr)
@pytest.mark.parametrize("schedule", [VPLinear(), Flow()], ids=repr)
def test_inversion_comes_back(solver, schedule):
    data = Gaussian(schedule, torch.tensor([0.5, -0.3], dtype=double), 0.3)
    x = data.draw(6)
    falling = grid("log-snr", 300, schedule, 0.8)
    noised = walk(data, solver, falling.flip(0), x, up=None)[-1]
    torch.testing.assert_close(noised, data.flow(x, 0.0, 0.8), rtol=0, atol=0.03)
    back = walk(data, solver, falling, noised)[-1]
    torch.testing.assert_close(back, x, rtol=0, atol=0.03)


@pytest.mark.parametrize("solver", [DDPM(), DDIM(0.5), DPMpp2M(sde=True)], ids=repr)
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


def test_repaints_jumps_draw_from_the_data_too():
    schedule = VPLinear()
    times = jumps(grid("uniform", 40, schedule), length=10, repeats=3)
    for name in SAMPLERS:
        end = walk(oracle(schedule, 0.05), sampler(name), times)[-1]
        assert ((end[:, None] - MEANS).norm(dim=-1).amin(1) < 4.5 * math.sqrt(0.05)).all()


def test_wrong_samplers_are_refused_in_a_sentence():
    with pytest.raises(BadInput, match="choose one of ddpm, ddim, euler, heun, dpmpp-2m, dpmpp-2m-sde"):
        sampler("plms")
    with pytest.raises(BadInput, match="does not take churn"):
        sampler("ddim", churn=3)
    with pytest.raises(BadInput, match="between 0"):
        sampler("ddim", eta=1.5)
    with pytest.raises(BadInput, match="small, large, learned"):
        sampler("ddpm", variance="fixed_small")
    with pytest.raises(BadInput, match="tau or kappa"):
        sampler("heun", form="sigma")
