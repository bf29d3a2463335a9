"""Score matching without a target against the Fisher divergence, known in closed form for Gaussians."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from sfumato.schedule import VE, VPLinear
from sfumato.train import objective as o
from sfumato.train.objective import score
from sfumato.train.objective.losses import FreeObjective

double = torch.float64
SIGNS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3)), dtype=double)  # all eight directions of space
DRAW = torch.Generator().manual_seed(0)
POINTS = torch.randn(5, 3, generator=DRAW, dtype=double)


def bent() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def all_signs(x: torch.Tensor) -> torch.Tensor:
    return SIGNS[:, None].expand(-1, *x.shape)


def test_exact_is_half_the_square_plus_the_trace_of_the_jacobian():
    network = bent()
    found = score.exact(network, POINTS)
    for row, x in enumerate(POINTS):
        jacobian = torch.autograd.functional.jacobian(network, x)
        torch.testing.assert_close(found[row], network(x).square().sum() / 2 + jacobian.trace())


@pytest.mark.parametrize("estimate", [score.hutchinson, score.sliced])
def test_over_all_directions_the_estimates_are_exact_and_so_are_their_gradients(estimate):
    network = bent()
    torch.testing.assert_close(estimate(network, POINTS, all_signs(POINTS)), score.exact(network, POINTS))
    gradients = []
    for losses in (estimate(network, POINTS, all_signs(POINTS)), score.exact(network, POINTS)):
        gradients.append(torch.autograd.grad(losses.mean(), list(network.parameters()), allow_unused=True))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_without_the_random_square_the_estimate_varies_less():
    """SSM-VR's promise, on the score of a Gaussian whose Jacobian is diagonal: v'J v is the trace for every v."""
    signs = all_signs(POINTS)[:, None]
    spread = {}
    for estimate in (score.hutchinson, score.sliced):
        each = torch.stack([estimate(lambda x: -x, POINTS, v).detach() for v in signs])
        spread[estimate.__name__] = float(each.std(0).mean())
    assert spread["hutchinson"] < 1e-12
    assert spread["sliced"] > 0.1


@pytest.mark.parametrize("trace", score.TRACES)
def test_it_is_the_fisher_divergence_up_to_the_data_s_own_constant(trace):
    """E[|s|^2/2 + tr] + E|grad log p|^2/2 = E|s - grad log p|^2/2, for s = -B x and p = N(0, C), with E x x' exact."""
    C = torch.tensor([[0.5, 0.2, 0.0], [0.2, 0.8, -0.1], [0.0, -0.1, 0.3]], dtype=double)
    B = torch.tensor([[1.5, 0.3, 0.0], [0.3, 2.0, 0.2], [0.0, 0.2, 2.5]], dtype=double)
    root = torch.linalg.cholesky(C)
    x = SIGNS @ root.T  # eight points whose second moments are C
    model = score.TRACES[trace](lambda x: -x @ B, x, all_signs(x)).mean()
    truth = -x @ torch.linalg.inv(C)
    divergence = (-x @ B - truth).square().sum(1).mean() / 2
    torch.testing.assert_close(model + truth.square().sum(1).mean() / 2, divergence)


@pytest.mark.parametrize(
    ("schedule", "name", "trace"),
    [
        *itertools.product([VPLinear(), VE(sigma_max=3.0)], ["eps", "v", "score"], ["full"]),
        (VPLinear(), "eps", "hutchinson"),
        (VPLinear(), "eps", "sliced"),
    ],
)
def test_as_an_objective_its_gradient_is_half_that_of_denoising_score_matching(schedule, name, trace):
    """Vincent 2011: both are the Fisher divergence to p_t, lambda = sigma^2, up to constants; here of a Gaussian."""
    rows = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=double)] * 4)  # x0 and eps with unit moments
    x0, eps = 0.6 * rows[:, :2], rows[:, 2:]
    B = torch.tensor([[0.7, 0.2], [-0.1, 0.4]], dtype=double, requires_grad=True)
    t = torch.full((16,), 0.4, dtype=double)
    choices = {"parameterization": name, "times": "table"}
    matching = {"kind": "score-matching", "trace": trace, "projections": 1000}
    slopes = []
    for more in ({"loss": matching}, {"weighting": "simple"}):
        objective = o.Objective(FreeObjective.model_validate({**choices, **more}), schedule)
        draw = torch.Generator().manual_seed(1)
        loss = objective.losses(lambda x, t: x @ B, x0, eps, t, draw).mean()
        slopes.append(torch.autograd.grad(loss, B)[0])
    tolerance = 1e-9 if trace == "full" else 0.08
    torch.testing.assert_close(2 * slopes[0], slopes[1], rtol=tolerance, atol=tolerance * float(slopes[1].abs().max()))


def test_signs_are_drawn_from_the_generator_alone():
    one, two = (score.draw_signs(POINTS, 4, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert set(one.unique().tolist()) == {-1.0, 1.0}
    assert one.shape == (4, 5, 3)
