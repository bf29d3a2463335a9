import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.picture import BadInput
from sfumato.schedule import (
    EDM,
    VE,
    Cosine,
    Discrete,
    Flow,
    SubVP,
    VPLinear,
    VPScaledLinear,
    diffusion,
    drift,
    log_snr,
    noised,
    shifted,
)

STABLE = Discrete.named("scaled_linear", 1000, 0.00085, 0.012)
ZERO = Discrete.named("scaled_linear", 1000, 0.00085, 0.012, zero_terminal=True)
SCHEDULES = [
    Discrete.named("linear"),
    STABLE,
    ZERO,
    Discrete.named("squaredcos_cap_v2"),
    Discrete.named("linear", 7),
    VPLinear(),
    VPScaledLinear(),
    SubVP(),
    Cosine(),
    VE(),
    Flow(),
    Flow(shift=3.0),
    EDM(),
    shifted(STABLE, 2.0),
    shifted(ZERO, 0.5),
    shifted(VPLinear(), 4.0),
    shifted(Cosine(), 2.0),
    shifted(SubVP(), 0.3),
    shifted(VE(), 2.0),
]
each = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


@each
def test_time_0_is_exactly_clean(schedule):
    """A VE schedule with sigma(0) = sigma_min would make strength 0 change the picture."""
    alpha, sigma = schedule(0.0)
    assert float(alpha) == 1
    assert float(sigma) == 0
    assert float(schedule.time(0.0)) == 0


@settings(max_examples=150, deadline=None)
@given(schedule=st.sampled_from(SCHEDULES), t=st.floats(1e-7, 1))
def test_time_inverts_kappa(schedule, t):
    alpha, sigma = schedule(torch.tensor(t, dtype=torch.float64))
    assert alpha.dtype == sigma.dtype == torch.float64
    assert float(schedule.time(sigma / alpha)) == pytest.approx(t, rel=1e-10, abs=0)


@each
def test_signal_to_noise_falls(schedule):
    t = torch.cat([torch.logspace(-8, -2, 50), torch.linspace(0.011, 1, 500)]).double()
    assert (log_snr(schedule, t).diff() < 0).all()


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("zero_terminal", [False, True])
def test_knots_are_the_tables_of_diffusers(name, zero_terminal):
    from diffusers import DDIMScheduler

    stock = DDIMScheduler(
        beta_schedule=name, beta_start=0.001, beta_end=0.015, rescale_betas_zero_snr=zero_terminal
    ).alphas_cumprod.double()
    schedule = Discrete.from_config(
        {"beta_schedule": name, "beta_start": 0.001, "beta_end": 0.015, "rescale_betas_zero_snr": zero_terminal}
    )
    alpha, sigma = schedule(torch.arange(1, 1001) / 1000)
    torch.testing.assert_close(alpha.square(), stock, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sigma.square(), 1 - stock, rtol=1e-4, atol=1e-6)


def test_knots_are_exact():
    """Against products of betas in 50 digits: the angle between knots costs no more than the last digits."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    schedule = Discrete(betas)
    with mpmath.workdps(50):
        alpha_bar = mpmath.mpf(1)
        for i, beta in enumerate(betas.tolist()):
            alpha_bar *= 1 - mpmath.mpf(beta)
            if i in (0, 1, 10, 500, 998, 999):
                alpha, sigma = schedule((i + 1) / 1000)
                assert float(alpha) == pytest.approx(float(mpmath.sqrt(alpha_bar)), rel=1e-12, abs=0)
                assert float(sigma) == pytest.approx(float(mpmath.sqrt(1 - alpha_bar)), rel=1e-14, abs=0)


@pytest.mark.parametrize("t", [1e-9, 1e-5, 1e-3, 0.3, 0.999])
def test_sigma_keeps_its_digits(t):
    """sqrt(1 - alpha^2) in float32 is off by 2 % at t = 1e-5."""
    with mpmath.workdps(60):
        u = mpmath.mpf(t)
        L = mpmath.mpf("0.1") * u + mpmath.mpf("19.9") * u**2 / 2
        a, b = mpmath.sqrt(mpmath.mpf("0.85")), mpmath.sqrt(mpmath.mpf(12))
        stable = ((a + (b - a) * u) ** 3 - a**3) / (3 * (b - a))
        cosine = mpmath.cos(mpmath.pi / 2 * (u + mpmath.mpf("0.008")) / mpmath.mpf("1.008"))
        cosine /= mpmath.cos(mpmath.pi / 2 * mpmath.mpf("0.008") / mpmath.mpf("1.008"))
        r = mpmath.mpf(50) / mpmath.mpf("0.01")
        expected = {
            VPLinear(): mpmath.sqrt(1 - mpmath.exp(-L)),
            SubVP(): 1 - mpmath.exp(-L),
            VPScaledLinear(): mpmath.sqrt(1 - mpmath.exp(-stable)),
            Cosine(): mpmath.sqrt(1 - cosine**2),
            VE(): mpmath.mpf("0.01") * mpmath.sqrt(r ** (2 * u) - 1),
            EDM(): 80 * u**7,
        }
        for schedule, sigma in expected.items():
            assert float(schedule(t)[1]) == pytest.approx(float(sigma), rel=1e-12, abs=0), schedule


@pytest.mark.parametrize("schedule", [ZERO, Cosine(), Flow(), shifted(ZERO, 3.0), shifted(Cosine(), 3.0)], ids=repr)
def test_zero_terminal_signal_is_exactly_zero(schedule):
    alpha, sigma = schedule(1.0)
    assert float(alpha) == 0
    assert float(sigma) == 1
    assert float(schedule.time(torch.inf)) == 1


def test_more_noise_than_a_table_has_is_its_end():
    assert STABLE.time(torch.tensor([20.0, 1e9, torch.inf])).tolist() == [1, 1, 1]


@pytest.mark.parametrize("schedule", [VPLinear(), VPScaledLinear(), Cosine(), STABLE], ids=repr)
def test_variance_is_preserved(schedule):
    t = torch.linspace(0, 1, 77).double()
    alpha, sigma = schedule(t)
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones_like(t))
    inside = t[1:-1]
    torch.testing.assert_close(diffusion(schedule, inside), -2 * drift(schedule, inside))


def test_drift_and_diffusion_have_their_closed_forms():
    t = torch.linspace(0.1, 0.9, 9).double()
    beta = 0.1 + 19.9 * t
    torch.testing.assert_close(drift(VPLinear(), t), -beta / 2)
    torch.testing.assert_close(diffusion(VPLinear(), t), beta)
    torch.testing.assert_close(drift(Flow(), t), -1 / (1 - t))
    torch.testing.assert_close(diffusion(Flow(), t), 2 * t / (1 - t))
    torch.testing.assert_close(drift(EDM(), t), torch.zeros_like(t))
    torch.testing.assert_close(diffusion(EDM(), t), 80**2 * 14 * t**13)


def test_sub_vp_has_less_noise_and_the_drift_of_vp():
    """Song et al. 2021, eq. 28 and 29; at the end both have forgotten the picture."""
    t = torch.linspace(0.01, 1, 50).double()
    L = 0.1 * t + 19.9 * t.square() / 2
    torch.testing.assert_close(drift(SubVP(), t), drift(VPLinear(), t))
    torch.testing.assert_close(diffusion(SubVP(), t), (0.1 + 19.9 * t) * -torch.expm1(-2 * L))
    assert (SubVP()(t)[1] < VPLinear()(t)[1]).all()
    assert float(SubVP()(1.0)[1]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("name", "beta_max"), [("linear", 20.0), ("scaled_linear", 12.0)])
def test_continuous_schedules_are_tables_of_many_steps(name, beta_max):
    beta_min, steps = {"linear": 0.1, "scaled_linear": 0.85}[name], 20_000
    table = Discrete.named(name, steps, beta_min / steps, beta_max / steps)
    continuous = {"linear": VPLinear, "scaled_linear": VPScaledLinear}[name](beta_min, beta_max)
    t = torch.linspace(0.05, 1, 20).double()
    for got, expected in zip(table(t), continuous(t), strict=True):
        torch.testing.assert_close(got, expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
@pytest.mark.parametrize(
    "schedule", [STABLE, ZERO, VPLinear(), VPScaledLinear(), SubVP(), Cosine(), VE(), Flow(), EDM()], ids=repr
)
def test_a_shift_moves_the_log_snr_by_the_same_everywhere(schedule, factor):
    t = torch.arange(1, 100).double() / 100
    moved = log_snr(shifted(schedule, factor), t) - log_snr(schedule, t)
    knots = torch.full_like(t, -2 * torch.log(torch.tensor(factor)).item())
    torch.testing.assert_close(moved, knots)
    assert shifted(schedule, 1.0) is schedule


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_shifted_flow_is_flow_with_a_shift(factor):
    t = torch.linspace(0, 1, 33).double()
    for got, expected in zip(shifted(Flow(), factor)(t), Flow(shift=factor)(t), strict=True):
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(shifted(Flow(), factor).time(0.7), Flow(shift=factor).time(0.7))
    assert shifted(Flow(), factor).last == Flow(shift=factor).last


def test_a_shifted_table_stays_a_table_and_on_the_circle():
    moved = shifted(STABLE, 2.0)
    assert isinstance(moved, Discrete)
    assert float(moved.index(1.0)) == 999
    alpha, sigma = moved(torch.linspace(0, 1, 77).double())
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones_like(alpha))
    assert torch.equal(STABLE.phi, Discrete.named("scaled_linear", 1000, 0.00085, 0.012).phi)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan")])
def test_a_shift_of_nothing_is_refused(factor):
    with pytest.raises(BadInput, match="a factor above 0"):
        shifted(Flow(), factor)


def test_the_drift_at_a_knot_is_that_of_the_step_below():
    """The walk is downwards: the knot t = (i + 1)/N closes the stretch whose beta is beta_i."""
    table = Discrete.named("linear", 10, 1e-2, 0.3)
    for knot in (1, 4, 10):
        t = torch.tensor(knot / 10, dtype=torch.float64)
        assert float(drift(table, t)) == pytest.approx(float(drift(table, t - 1e-9)), rel=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_one_time_has_the_bits_that_it_has_among_many_and_keeps_its_gradient(schedule):
    times = torch.tensor([0.0, 1e-3, 0.1234567, 0.5, 0.999, 1.0], dtype=torch.float64)
    many = schedule(times)
    for _ in range(2):  # tables remember a time that was asked for
        for i, t in enumerate(times):
            assert all(torch.equal(one, all_[i]) for one, all_ in zip(schedule(t), many, strict=True))
            assert all(torch.equal(one, all_[i]) for one, all_ in zip(schedule(float(t)), many, strict=True))
    t = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert schedule(t)[1].requires_grad
    with torch.inference_mode():
        schedule(0.25)
    assert not schedule(0.25)[1].is_inference()


def test_half_an_edm_is_not_all_noise():
    """sigma = 80 t would make strength 0.5 mean sigma = 40."""
    assert float(EDM()(0.5)[1]) == pytest.approx(0.625)


def test_noised_takes_one_time_a_row_and_keeps_the_dtype():
    x0, eps = torch.randn(2, 3, 2, 4, 4)
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    x = noised(Flow(), x0, t, eps)
    assert x.dtype == torch.float32
    torch.testing.assert_close(x, torch.stack([x0[0], (x0[1] + eps[1]) / 2, eps[2]]))
    assert torch.equal(x[0], x0[0])


def test_a_stable_diffusion_config_is_understood():
    config = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
    assert torch.equal(Discrete.from_config(config).phi, STABLE.phi)
    assert torch.equal(
        Discrete.from_config({"trained_betas": [0.1, 0.2]}).phi,
        Discrete(torch.tensor([0.1, 0.2], dtype=torch.float64)).phi,
    )


def test_wrong_tables_are_refused():
    with pytest.raises(ValueError, match="choose linear, scaled_linear or squaredcos_cap_v2"):
        Discrete.named("sigmoid")
    with pytest.raises(ValueError, match="betas in"):
        Discrete(torch.tensor([0.1, 1.5]))
    with pytest.raises(ValueError, match="at least one step"):
        Discrete.named(count=0)
