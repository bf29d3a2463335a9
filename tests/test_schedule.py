import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, VPLinear, diffusion, drift, log_snr, noised

STABLE = Discrete.named("scaled_linear", 1000, 0.00085, 0.012)
ZERO = Discrete.named("scaled_linear", 1000, 0.00085, 0.012, zero_terminal=True)
SCHEDULES = [
    Discrete.named("linear"),
    STABLE,
    ZERO,
    Discrete.named("squaredcos_cap_v2"),
    Discrete.named("linear", 7),
    VPLinear(),
    Cosine(),
    VE(),
    Flow(),
    Flow(shift=3.0),
    EDM(),
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
        cosine = mpmath.cos(mpmath.pi / 2 * (u + mpmath.mpf("0.008")) / mpmath.mpf("1.008"))
        cosine /= mpmath.cos(mpmath.pi / 2 * mpmath.mpf("0.008") / mpmath.mpf("1.008"))
        r = mpmath.mpf(50) / mpmath.mpf("0.01")
        expected = {
            VPLinear(): mpmath.sqrt(1 - mpmath.exp(-L)),
            Cosine(): mpmath.sqrt(1 - cosine**2),
            VE(): mpmath.mpf("0.01") * mpmath.sqrt(r ** (2 * u) - 1),
            EDM(): 80 * u**7,
        }
        for schedule, sigma in expected.items():
            assert float(schedule(t)[1]) == pytest.approx(float(sigma), rel=1e-12, abs=0), schedule


@pytest.mark.parametrize("schedule", [ZERO, Cosine(), Flow()], ids=repr)
def test_zero_terminal_signal_is_exactly_zero(schedule):
    alpha, sigma = schedule(1.0)
    assert float(alpha) == 0
    assert float(sigma) == 1
    assert float(schedule.time(torch.inf)) == 1


def test_more_noise_than_a_table_has_is_its_end():
    assert STABLE.time(torch.tensor([20.0, 1e9, torch.inf])).tolist() == [1, 1, 1]


@pytest.mark.parametrize("schedule", [VPLinear(), Cosine(), STABLE], ids=repr)
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
