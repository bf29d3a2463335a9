"""L_vlb and L_hybrid as objectives, and importance-sampled steps."""

from __future__ import annotations

import math

import pytest
import torch

from sfumato import bound
from sfumato.condition import Condition
from sfumato.denoise import Gaussian
from sfumato.process import posterior, transition
from sfumato.schedule import VPLinear
from sfumato.train import objective as o
from sfumato.train.objective.losses import FreeObjective

double = torch.float64
SPREAD, STEPS = 0.6, 20
SCHEDULE = VPLinear()
KNOTS = torch.arange(1, STEPS + 1, dtype=double) / STEPS
X0 = SPREAD * torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=double)[:, None]
EPS = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=double)[:, None]
ORACLE = Gaussian(SCHEDULE, torch.zeros(1, dtype=double), SPREAD**2)


def objective(levels: int | None = None, **choices) -> o.Objective:
    made = {"parameterization": "eps", "times": "table", "table": STEPS, **choices}
    return o.Objective(FreeObjective.model_validate(made), SCHEDULE, levels)


def oracle(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return ORACLE(x, t, Condition.empty(len(x))).eps


def everywhere(made: o.Objective, network) -> torch.Tensor:
    """The mean loss over all steps and over the moments of x0 and eps."""
    t = KNOTS.repeat_interleave(4)
    return made.losses(network, X0.repeat(STEPS, 1), EPS.repeat(STEPS, 1), t, torch.Generator()).mean()


@pytest.mark.parametrize("variance", ["small", "large"])
def test_the_mean_over_steps_is_the_bound_less_its_prior(variance):
    """On Gaussian data the chain's whole bound is known: KL of two Gaussian chains, plus the entropy of the data."""
    made = objective(loss={"kind": "vlb", "variance": variance})
    whole = float(everywhere(made, oracle)) + float(bound.prior(SCHEDULE, X0).mean())
    entropy = math.log2(math.sqrt(2 * math.pi * math.e) * SPREAD)
    assert whole == pytest.approx(entropy + chains(variance), rel=1e-9)


def chains(variance: str) -> float:
    """KL(q(x_0..x_T) || p(x_0..x_T)) in bits: the sum over steps of E KL(q(x_s | x_t) || p(x_s | x_t)).

    The true reverse step of a Gaussian has the model's mean and the variance beta tilde + a^2 Var(x0 | x_t).
    """
    alpha, sigma = SCHEDULE(1.0)
    spread, start = float(alpha**2 * SPREAD**2 + sigma**2), float(alpha**2 + sigma**2)
    total = (spread / start - 1 - math.log(spread / start)) / 2
    for i, t in enumerate(KNOTS.tolist(), 1):
        s = (i - 1) / STEPS
        alpha, sigma = (float(a) for a in SCHEDULE(t))
        left = SPREAD**2 * sigma**2 / (alpha**2 * SPREAD**2 + sigma**2)
        a, _, tilde = (float(c) for c in posterior(SCHEDULE, s, t))
        model = {"small": tilde, "large": float(transition(SCHEDULE, s, t)[1])}[variance]
        if i == 1 and variance == "small":
            model = float(posterior(SCHEDULE, t, 2 / STEPS)[2])
        ratio = (tilde + a**2 * left) / model
        total += (ratio - 1 - math.log(ratio)) / 2
    return total / math.log(2)


def test_the_oracle_s_mean_is_the_bound_s_minimum():
    made = objective(loss={"kind": "vlb", "variance": "large"})
    gain = torch.tensor(1.0, dtype=double, requires_grad=True)
    (slope,) = torch.autograd.grad(everywhere(made, lambda x, t: gain * oracle(x, t)), gain)
    least = float(everywhere(made, oracle))
    assert abs(float(slope)) < 1e-9 * abs(least) + 1e-9
    assert all(float(everywhere(made, lambda x, t, k=k: k * oracle(x, t))) > least for k in (0.95, 1.05))


def test_the_best_learned_variance_is_the_true_one_and_leaves_the_prior_s_gap_alone():
    """Sigma = beta tilde + a^2 Var(x0 | x_t), the Gaussian's own reverse variance: there dL/dv = 0."""
    s, t = KNOTS - 1 / STEPS, KNOTS
    alpha, sigma = SCHEDULE(t)
    a, _, small = posterior(SCHEDULE, s, t)
    large, true = transition(SCHEDULE, s, t)[1], small + a**2 * SPREAD**2 * sigma**2 / (alpha**2 * SPREAD**2 + sigma**2)
    small[0] = small[1]  # beta tilde of the first step is 0: the second's stands in
    best = ((true / small).log() / (large / small).log())[:, None].requires_grad_()
    fraction = 2 * best - 1  # what the network says is v in [-1, 1]
    found = everywhere(
        objective(loss="vlb"), lambda x, t: torch.cat([oracle(x, t), fraction[(t * STEPS).round().long() - 1]], 1)
    )
    (slope,) = torch.autograd.grad(found, best)
    assert float(slope.abs().max()) < 1e-9
    entropy = math.log2(math.sqrt(2 * math.pi * math.e) * SPREAD)
    alpha, sigma = SCHEDULE(1.0)
    ratio = float((alpha**2 * SPREAD**2 + sigma**2) / (alpha**2 + sigma**2))
    whole = float(found.detach()) + float(bound.prior(SCHEDULE, X0).mean())
    assert whole == pytest.approx(entropy + (ratio - 1 - math.log(ratio)) / 2 / math.log(2), rel=1e-9)


def test_hybrid_teaches_the_mean_by_l_simple_and_the_variance_by_the_bound():
    """Nichol & Dhariwal 2021, eq. 16: the gradient of F is L_simple's alone, that of v is lambda times the bound's."""
    F = torch.full((4, 1), 0.3, dtype=double, requires_grad=True)
    v = torch.full((4, 1), 0.1, dtype=double, requires_grad=True)
    t = torch.tensor([0.05, 0.3, 0.5, 1.0], dtype=double)

    def slopes(network, loss):
        found = objective(loss=loss).losses(network, X0, EPS, t, torch.Generator()).sum()
        return torch.autograd.grad(found, [F, v], allow_unused=True)

    hybrid = slopes(lambda x, t: torch.cat([F, v], 1), {"kind": "hybrid", "bound": 0.01})
    simple = slopes(lambda x, t: F, "regression")
    vlb = slopes(lambda x, t: torch.cat([F, v], 1), "vlb")
    torch.testing.assert_close(hybrid[0], simple[0])
    torch.testing.assert_close(hybrid[1], 0.01 * vlb[1])
    assert bool((hybrid[1] != 0).all())


def test_pictures_of_eight_bits_pay_for_their_bin():
    made, rough = objective(loss={"kind": "vlb", "variance": "large"}), {"loss": {"kind": "vlb", "variance": "large"}}
    t = torch.full((4,), 1 / STEPS, dtype=double)
    x0 = torch.tensor([-1.0, -101 / 255, 1 / 255, 1.0], dtype=double)[:, None]
    continuous, discrete = (m.losses(oracle, x0, EPS, t, torch.Generator()) for m in (made, objective(256, **rough)))
    inner = slice(1, 3)
    torch.testing.assert_close(discrete[inner], continuous[inner] - STEPS * math.log2(2 / 255), rtol=0, atol=0.05)
    assert bool((discrete > 0).all())


def history(losses: torch.Tensor, length: int = 10) -> o.History:
    made = o.History(len(losses), length)
    steps = torch.arange(len(losses)).repeat(length)
    made.note((steps.double() + 1) / len(losses), losses.repeat(length))
    return made


def test_steps_come_as_often_as_the_root_of_their_mean_square_and_their_weights_keep_the_mean():
    losses = torch.tensor([4.0, 1.0, 0.5, 0.5])
    made = history(losses)
    expected = 0.999 * losses.double() / 6 + 0.001 / 4
    torch.testing.assert_close(made.chances(), expected)
    t, share = made.draw(40_000, torch.Generator().manual_seed(0))
    drawn = losses[(t * 4).round().long() - 1]
    counts = torch.bincount((t * 4).round().long() - 1) / 40_000
    torch.testing.assert_close(counts.double(), expected, rtol=0, atol=0.01)
    assert float((share * drawn).mean()) == pytest.approx(float(losses.mean()), rel=1e-2)
    assert float((share * drawn).std()) < 0.1 * float(losses.std())


def test_a_step_whose_losses_vary_comes_by_the_root_of_their_mean_square_and_not_by_their_mean():
    made = o.History(2, 2)
    made.note(torch.tensor([0.5, 0.5, 1.0, 1.0], dtype=double), torch.tensor([1.0, 7.0, 4.0, 4.0]))
    root = torch.tensor([25.0, 16.0], dtype=double).sqrt()
    torch.testing.assert_close(made.chances(), 0.999 * root / root.sum() + 0.0005)


def test_steps_are_uniform_until_each_has_its_ten_losses():
    made = history(torch.tensor([4.0, 1.0, 1.0]), 10)
    made.counts[2] -= 1
    torch.testing.assert_close(made.chances(), torch.full((3,), 1 / 3, dtype=double))


def test_the_last_ten_losses_count_however_they_came():
    made = o.History(2, 3)
    for batch in ([1.0], [2.0, 3.0], [4.0], [5.0, 6.0, 7.0, 8.0, 9.0]):
        made.note(torch.ones(len(batch), dtype=double), torch.tensor(batch))
    assert sorted(made.losses[1].tolist()) == [7.0, 8.0, 9.0]
    assert made.counts.tolist() == [0, 9]
    made.note(torch.tensor([0.5, 1.0, 0.5], dtype=double), torch.tensor([1.0, 10.0, 2.0]))
    assert sorted(made.losses[1].tolist()) == [8.0, 9.0, 10.0]
    assert sorted(made.losses[0].tolist()) == [0.0, 1.0, 2.0]


def test_an_importance_sampled_bound_has_the_same_mean_and_a_smaller_spread():
    plain = objective(loss={"kind": "vlb", "variance": "large"})
    sampled = objective(loss={"kind": "vlb", "variance": "large"}, times="importance")
    x0 = X0.float().repeat(500, 1)
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):  # three batches fill the history
        sampled(oracle, x0, draw)
    means, spreads = [], []
    for made in (plain, sampled):
        losses = torch.cat([made(oracle, x0, draw)[0] for _ in range(10)])
        means.append(float(losses.mean()))
        spreads.append(float(losses.std()))
    truth = float(everywhere(plain, oracle))
    assert means[1] == pytest.approx(truth, abs=4 * spreads[1] / math.sqrt(20_000))
    assert spreads[1] < 0.7 * spreads[0]
