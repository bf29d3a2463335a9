"""Weights, times and optima in closed form: stated once for x0, applied to every parameterization."""

from __future__ import annotations

import pytest
import torch

from sfumato.condition import Condition
from sfumato.denoise import Gaussian, Preconditioned
from sfumato.picture import BadInput
from sfumato.predict import coefficients
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, SubVP, VPLinear
from sfumato.train import objective as o
from sfumato.train.objective.losses import FreeObjective, StockObjective
from sfumato.train.objective.times import LogitNormal, LogNormal, Table, Uniform
from sfumato.train.objective.weighting import EDMWeight, Flat, MinSNR, Sigmoid, Simple

TABLE = Discrete.named("squaredcos_cap_v2", 1000)
TIMES = torch.tensor([0.001, 0.05, 0.3, 0.5, 0.8, 0.99], dtype=torch.float64)
WEIGHTINGS = [
    MinSNR(kind="min-snr", gamma=5.0),
    Sigmoid(kind="sigmoid", bias=-2.0),
    Simple(kind="simple"),
    EDMWeight(kind="edm"),
]
NAMES = ("eps", "x0", "v", "flow", "score", "edm")
SCHEDULES = [TABLE, VPLinear(), SubVP(), Cosine(), VE(), EDM(), Flow()]
SPREAD = 0.6

# Four points with the moments of (x0, eps): what is quadratic in them has its exact mean over the four.
X0 = SPREAD * torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)[:, None]
EPS = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)[:, None]
NOBODY = torch.Generator()


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=lambda w: w.kind)
def test_the_parameterizations_agree_on_the_same_error_of_x0(weighting):
    alpha, sigma = TABLE(TIMES)
    dx0 = torch.linspace(0.1, 1.0, len(TIMES), dtype=torch.float64)
    deps = -alpha / sigma * dx0  # x_t is given, so alpha dx0 + sigma deps = 0
    losses = []
    for name in NAMES:
        p, q = coefficients(name, alpha, sigma)
        losses.append(o.weight(name, weighting, alpha, sigma) * (p * dx0 + q * deps).square())
    for other in losses[1:]:
        torch.testing.assert_close(losses[0], other, rtol=1e-9, atol=0)


def test_min_snr_is_the_papers_formula():
    alpha, sigma = TABLE(TIMES)
    snr = (alpha / sigma).square()
    least = snr.clamp(max=5.0)
    weighting = WEIGHTINGS[0]
    for name, expected in {"eps": least / snr, "x0": least, "v": least / (snr + 1)}.items():
        torch.testing.assert_close(o.weight(name, weighting, alpha, sigma), expected, rtol=1e-9, atol=0)


def test_sigmoid_weights_the_eps_loss_by_sigmoid_of_bias_minus_log_snr():
    alpha, sigma = TABLE(TIMES)
    expected = torch.sigmoid(-2.0 - 2 * (alpha / sigma).log())
    torch.testing.assert_close(o.weight("eps", WEIGHTINGS[1], alpha, sigma), expected, rtol=1e-9, atol=0)


def test_simple_is_one_for_eps_and_sigma_squared_for_the_score():
    alpha, sigma = TABLE(TIMES)
    torch.testing.assert_close(o.weight("eps", WEIGHTINGS[2], alpha, sigma), torch.ones_like(alpha))
    torch.testing.assert_close(o.weight("score", WEIGHTINGS[2], alpha, sigma), sigma**2)


def test_edm_is_karras_lambda_for_the_denoiser_and_one_for_the_network():
    one, sigma = EDM()(TIMES)
    weighting, data = WEIGHTINGS[3], 0.7
    expected = (sigma**2 + data**2) / (sigma * data) ** 2
    torch.testing.assert_close(o.weight("x0", weighting, one, sigma, data), expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(o.weight("edm", weighting, one, sigma, data), torch.ones_like(one), rtol=1e-9, atol=0)


@pytest.mark.parametrize("weighting", WEIGHTINGS[:3], ids=lambda w: w.kind)
def test_at_pure_noise_the_weight_is_its_limit(weighting):
    (end, near) = (o.weight("eps", weighting, *Flow()(torch.tensor(t))) for t in (1.0, 1 - 1e-7))
    torch.testing.assert_close(end, near, rtol=1e-5, atol=1e-12)


def test_uniform_is_one_for_the_network_output():
    assert bool((o.weight("v", Flat(), *TABLE(TIMES)) == 1).all())


def test_table_times_are_knots_and_every_knot_comes():
    t = o.draw_times(Table(), 20_000, 100, torch.Generator().manual_seed(0), TABLE)
    index = t * 100 - 1
    torch.testing.assert_close(index, index.round(), rtol=0, atol=1e-9)
    assert set(index.round().long().tolist()) == set(range(100))


def test_uniform_times_are_stratified():
    t = o.draw_times(Uniform(), 64, 1000, torch.Generator().manual_seed(0), TABLE)
    assert float(t.min()) > 0
    assert float(t.max()) <= 1
    assert sorted((t * 64).ceil().long().tolist()) == list(range(1, 65))


def test_uniform_times_share_one_place_in_their_strata_and_it_is_anywhere():
    """Kingma et al. 2021, appendix I.1."""
    draws = torch.stack([o.draw_times(Uniform(), 4, 1, torch.Generator().manual_seed(i), TABLE) for i in range(2000)])
    place = draws * 4 % 1
    torch.testing.assert_close(place, place[:, :1].expand_as(place))
    counts = torch.histc(place[:, 0], 10, 0, 1)
    assert float(counts.min()) > 150
    assert float(counts.max()) < 250


def test_logit_normal_has_its_median_and_spread():
    times = LogitNormal(kind="logit-normal", mean=0.5, std=0.7)
    z = torch.logit(o.draw_times(times, 50_000, 1, torch.Generator().manual_seed(0), TABLE))
    assert abs(float(z.mean()) - 0.5) < 0.02
    assert abs(float(z.std()) - 0.7) < 0.02


@pytest.mark.parametrize("schedule", [EDM(), VPLinear(), TABLE], ids=repr)
def test_log_normal_is_the_spread_of_log_kappa(schedule):
    t = o.draw_times(LogNormal(kind="log-normal"), 50_000, 1, torch.Generator().manual_seed(0), schedule)
    alpha, sigma = schedule(t)
    z = (sigma / alpha).log()
    assert abs(float(z.mean()) + 1.2) < 0.02
    assert abs(float(z.std()) - 1.2) < 0.02


def free(**choices) -> FreeObjective:
    return FreeObjective.model_validate(choices)


def best(name: str, alpha: float, sigma: float) -> tuple[float, float]:
    """k of E[F* | x] = k x for x0 of N(0, SPREAD^2), and the variance that is left."""
    p, q = (float(a) for a in coefficients(name, alpha, sigma, sigma_data=SPREAD))
    power, cross = alpha**2 * SPREAD**2 + sigma**2, p * alpha * SPREAD**2 + q * sigma
    return cross / power, p**2 * SPREAD**2 + q**2 - cross**2 / power


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighting", [Flat(), *WEIGHTINGS], ids=lambda w: w.kind)
def test_the_conditional_mean_attains_the_least_loss_and_elsewhere_the_gradient_is_known(schedule, name, weighting):
    """L = w (least + (k - k*)^2 E x^2), dL/dk = 2 w (k - k*) E x^2 for the network k x on Gaussian data."""
    objective = o.Objective(free(parameterization=name, weighting=weighting, sigma_data=SPREAD), schedule)
    for t in (0.2, 0.7):
        alpha, sigma = (float(a) for a in schedule(t))
        w = o.weight(name, weighting, *schedule(torch.tensor(t, dtype=torch.float64)), SPREAD)
        right, least = best(name, alpha, sigma)
        for wrong in (0.0, 0.3):
            k = torch.tensor(right + wrong, dtype=torch.float64, requires_grad=True)
            times = torch.full((4,), t, dtype=torch.float64)
            loss = objective.losses(lambda x, t, k=k: k * x, X0, EPS, times, NOBODY).mean()
            (slope,) = torch.autograd.grad(loss, k)
            power = alpha**2 * SPREAD**2 + sigma**2
            scale = float(w) * (least + power)
            assert float(loss.detach()) == pytest.approx(float(w) * (least + wrong**2 * power), rel=1e-6)
            assert float(slope) == pytest.approx(float(w) * 2 * wrong * power, rel=1e-6, abs=1e-9 * scale)


@pytest.mark.parametrize("name", ["eps", "v"])
def test_l1_is_palettes_with_the_mean_absolute_deviation_as_its_least_value(name):
    """Of Gaussian data the median is the mean: the least value is w^(1/2) sqrt(2/pi) times the deviation left."""
    draw = torch.Generator().manual_seed(0)
    x0 = SPREAD * torch.randn(100_000, 1, generator=draw, dtype=torch.float64)
    eps = torch.randn(100_000, 1, generator=draw, dtype=torch.float64)
    weighting, t = WEIGHTINGS[0], torch.full((100_000,), 0.4, dtype=torch.float64)
    schedule = VPLinear()
    right, least = best(name, *(float(a) for a in schedule(0.4)))
    choices = {"loss": {"kind": "regression", "norm": 1}, "parameterization": name, "weighting": weighting}
    objective = o.Objective(free(**choices), schedule)
    found = [float(objective.losses(lambda x, t, k=k: (right + k) * x, x0, eps, t, NOBODY).mean()) for k in (0, -0.1)]
    w = float(o.weight(name, weighting, *schedule(0.4)))
    assert found[0] == pytest.approx((w * least * 2 / torch.pi) ** 0.5, rel=0.01)
    assert found[1] > found[0]


def mean_of_a_step(t: torch.Tensor, x0: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """mu tilde (Ho et al. 2020, eq. 7), from the table's betas."""
    kept = TABLE(t)[0].square()
    before = TABLE(t - 1 / 1000)[0].square()
    beta = 1 - kept / before
    of_x0, of_x = before.sqrt() * beta / (1 - kept), (1 - beta).sqrt() * (1 - before) / (1 - kept)
    x = kept.sqrt()[:, None] * x0 + (1 - kept).sqrt()[:, None] * eps
    return of_x0[:, None] * x0 + of_x[:, None] * x


def test_mu_is_the_mean_of_a_step_of_the_table():
    t = torch.tensor([0.001, 0.05, 0.4, 1.0], dtype=torch.float64)
    objective = o.Objective(free(parameterization="mu", schedule="squaredcos_cap_v2"), TABLE)
    expected = mean_of_a_step(t, X0, EPS)
    found = objective.losses(lambda x, t: torch.zeros_like(x), X0, EPS, t, NOBODY)
    torch.testing.assert_close(found, expected.square()[:, 0], rtol=1e-9, atol=0)
    perfect = objective.losses(lambda x, t: expected, X0, EPS, t, NOBODY)
    assert float(perfect.max()) < 1e-24


@pytest.mark.parametrize("weighting", [*WEIGHTINGS, None], ids=lambda w: w.kind if w else "vlb")
def test_mu_is_weighted_as_the_noise_of_the_same_picture_is(weighting):
    """A network that says the mean, and one that says the noise of the same picture, have one loss."""
    t = torch.tensor([0.002, 0.05, 0.4, 0.9], dtype=torch.float64)
    choices = {"weighting": weighting} if weighting else {"loss": {"kind": "vlb", "variance": "small"}}
    choices |= {"schedule": "squaredcos_cap_v2", "times": "table"}
    said = torch.tensor([[0.3], [-0.2], [0.9], [0.1]], dtype=torch.float64)
    alpha, sigma = (a[:, None] for a in TABLE(t))

    def mean(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return mean_of_a_step(t, (x - sigma * said) / alpha, said)

    by_noise = o.Objective(free(parameterization="eps", **choices), TABLE)
    by_mean = o.Objective(free(parameterization="mu", **choices), TABLE)
    expected = by_noise.losses(lambda x, t: said, X0, EPS, t, NOBODY)
    torch.testing.assert_close(by_mean.losses(mean, X0, EPS, t, NOBODY), expected, rtol=1e-6, atol=0)


def test_a_network_that_says_the_mean_is_right_between_the_steps_of_its_table_too():
    """Told its index as it is: rounded it would answer for another step, whose mean is that far off."""
    exact = Gaussian(TABLE, torch.tensor([0.4, -1.0], dtype=torch.float64), 0.3)
    x, t = torch.tensor([[0.7, 0.4]] * 4, dtype=torch.float64), torch.tensor([0.0502, 0.3, 0.70049, 0.99])

    def network(x: torch.Tensor, index: torch.Tensor, condition: Condition) -> torch.Tensor:
        told = (index.double() + 1) / 1000
        p = exact(x, told)
        return mean_of_a_step(told, p.x0, p.eps)

    found, expected = Preconditioned(network, TABLE, "mu")(x, t, Condition.empty(4)), exact(x, t)
    torch.testing.assert_close(found.x0, expected.x0, rtol=0, atol=5e-3)
    torch.testing.assert_close(found.eps, expected.eps, rtol=0, atol=5e-3)


def test_flow_matching_is_the_mean_square_of_noise_less_picture():
    """Lipman et al. 2023, eq. 23 without the least noise; Liu et al. 2023, eq. 1, with t turned round."""
    objective = o.Objective(free(parameterization="flow"), Flow())
    t = torch.rand(4, dtype=torch.float64)
    found = objective.losses(lambda x, t: 0.5 * x, X0, EPS, t, NOBODY)
    x = (1 - t[:, None]) * X0 + t[:, None] * EPS
    torch.testing.assert_close(found, (0.5 * x - (EPS - X0)).square()[:, 0])


def test_edm_with_its_preconditioning_is_the_weighted_error_of_the_denoiser():
    """lambda |D - y|^2 with D = c_skip x + c_out F (Karras et al. 2022, eq. 7 and 8)."""
    data, t = 0.7, torch.tensor([0.3, 0.5, 0.6, 0.9], dtype=torch.float64)
    objective = o.Objective(free(parameterization="edm", weighting="edm", sigma_data=data), EDM())
    sigma = EDM()(t)[1][:, None]
    skip = data**2 / (sigma**2 + data**2)
    out = sigma * data / (sigma**2 + data**2).sqrt()
    x, answer = X0 + sigma * EPS, torch.linspace(-1, 1, 4, dtype=torch.float64)[:, None]
    expected = (sigma**2 + data**2) / (sigma * data) ** 2 * (skip * x + out * answer - X0).square()
    torch.testing.assert_close(objective.losses(lambda x, t: answer, X0, EPS, t, NOBODY), expected[:, 0])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "score"])
def test_a_perfect_network_has_no_loss_and_a_silent_one_the_power_of_the_target(name):
    x0 = torch.randn(400, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.5
    objective = o.Objective(free(parameterization=name, times="table"), TABLE)

    def oracle(x, t):
        alpha, sigma = (c.float().reshape(-1, 1, 1, 1) for c in TABLE(t))
        eps = (x - alpha * x0) / sigma
        p, q = (c.float().reshape(-1, 1, 1, 1) for c in coefficients(name, *TABLE(t)))
        return p * x0 + q * eps

    perfect, _ = objective(oracle, x0, torch.Generator().manual_seed(2))
    assert float(perfect.max()) < 1e-4
    silent, t = objective(lambda x, t: torch.zeros_like(x), x0, torch.Generator().manual_seed(2))
    p, q = coefficients(name, *TABLE(t))
    expected = (p.square() * x0.square().mean() + q.square()).mean()
    assert float(silent.mean()) == pytest.approx(float(expected), rel=0.05)


def test_where_takes_the_mean_over_its_elements_alone():
    recipe = StockObjective(parameterization="v", weighting=Flat())
    objective, dice = o.Objective(recipe, TABLE), torch.Generator().manual_seed(1)
    x0, where = torch.randn(3, 2, 4, 4, generator=dice), (torch.rand(3, 1, 4, 4, generator=dice) < 0.4).float()
    where[2] = 1

    def losses(stray, where):
        silent = lambda x, t: stray.expand_as(x)  # noqa: E731
        return objective(silent, x0, torch.Generator().manual_seed(2), where)[0]

    nothing = torch.zeros(1)
    elsewhere = 100 * (1 - where)
    torch.testing.assert_close(losses(elsewhere, where), losses(nothing, where))
    assert losses(elsewhere, None)[0] > 1000 * losses(nothing, None)[0]
    torch.testing.assert_close(losses(nothing, where)[2], losses(nothing, None)[2])
    torch.testing.assert_close(losses(nothing, torch.ones_like(where)), losses(nothing, None))


def test_the_loss_is_a_function_of_the_generator():
    x0 = torch.ones(8, 1, 2, 2)
    objective = o.Objective(StockObjective(), TABLE)
    first, _ = objective(lambda x, t: x, x0, torch.Generator().manual_seed(3))
    again, _ = objective(lambda x, t: x, x0, torch.Generator().manual_seed(3))
    assert torch.equal(first, again)


def test_refusals_of_what_does_not_fit_together():
    with pytest.raises(ValueError, match="times must be table or importance"):
        free(loss="vlb")
    with pytest.raises(ValueError, match="weighting must be uniform"):
        free(loss="vlb", times="table", weighting="simple")
    with pytest.raises(ValueError, match="schedule must be one of squaredcos_cap_v2, scaled_linear, linear"):
        free(parameterization="mu")
    with pytest.raises(ValueError, match="weighting must be uniform or simple"):
        free(loss="score-matching", weighting="min-snr")
    with pytest.raises(BadInput, match='The parameterization "eps" does not determine the picture at t = 1'):
        o.Objective(free(loss="score-matching", parameterization="eps"), Flow())
