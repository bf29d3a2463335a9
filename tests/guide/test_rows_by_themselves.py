"""With one t a row, as RK45 asks, a row is what it would be alone, whatever its neighbours do."""

from __future__ import annotations

import pytest
import torch

from sfumato.condition import Condition, Label, Text
from sfumato.condition.text import ScheduledText
from sfumato.denoise import GaussianMixture, bind
from sfumato.edit import Relay
from sfumato.guide import CFGPlusPlus, ClassifierFree, Guided, ProjectedGuidance, StaticThreshold
from sfumato.noise import KeyedNoise
from sfumato.sample import RK45, DPMAdaptive, trajectory
from sfumato.schedule import Cosine
from sfumato.times import grid

SCHEDULE = Cosine()
MEANS = torch.tensor([[1.0, 0.2, -0.4], [-1.0, 0.5, 0.3]], dtype=torch.float64)
ORACLE = GaussianMixture(SCHEDULE, MEANS, 0.3, labels=torch.tensor([0, 1]))
INTERVAL = (0.3, 0.6)
GUIDANCES = [
    ClassifierFree(3.0, INTERVAL),
    ClassifierFree(3.0, INTERVAL, rescale=0.7),
    ProjectedGuidance(3.0, interval=INTERVAL),
    ProjectedGuidance(3.0, momentum=-0.5, interval=INTERVAL),
    CFGPlusPlus(0.6),
    StaticThreshold(0.5),
]
PATHS = torch.tensor([[0.9, 0.7, 0.6, 0.45, 0.45, 0.3, 0.2], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]], dtype=torch.float64)


def condition(rows: int) -> Condition:
    return Condition((Label(torch.zeros(rows, dtype=torch.long), none=2),))


def answers(guidance, rows: list[int]) -> torch.Tensor:
    """x0 of the chosen rows at every time of their paths, in one batch: (rows, times, 3)."""
    guided = Guided(ORACLE, [guidance])
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[rows]
    return torch.stack([guided(x, PATHS[rows, i], condition(len(rows))).x0 for i in range(PATHS.shape[1])], 1)


@pytest.mark.parametrize("guidance", GUIDANCES, ids=repr)
def test_a_row_is_not_moved_by_its_neighbour(guidance):
    """Row 0 comes into the interval when row 1 is in it, and stays when row 1 has left."""
    together = answers(guidance, [0, 1])
    for row in (0, 1):
        torch.testing.assert_close(together[row], answers(guidance, [row])[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", [RK45(1e-3, 1e-3), DPMAdaptive()], ids=lambda solver: solver.kind)
@pytest.mark.parametrize("guidance", GUIDANCES[:4], ids=repr)
def test_an_adaptive_solver_ends_alike_alone_and_in_a_batch(guidance, solver):
    def ends(seeds: list[int]) -> torch.Tensor:
        noise = KeyedNoise(seeds)
        x = noise(torch.zeros(len(seeds), 3, dtype=torch.float64), "start")
        denoise = bind(Guided(ORACLE, [guidance]), condition(len(seeds)))
        *_, last = trajectory(denoise, solver, x, grid("uniform", 4, SCHEDULE), noise)
        return last.x

    together = ends([1, 2, 3])
    for row, seed in enumerate((1, 2, 3)):
        torch.testing.assert_close(together[row], ends([seed])[0], rtol=1e-9, atol=1e-9)


def test_a_row_of_a_relay_is_answered_by_the_model_of_its_own_time():
    other = GaussianMixture(SCHEDULE, 2 * MEANS, 0.3, labels=torch.tensor([0, 1]))
    relay = Relay(ORACLE, bind(other, condition(2)), 0.5)
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.tensor([0.7, 0.4], dtype=torch.float64)
    found = relay(x, t, condition(2))
    for row, model in enumerate((ORACLE, other)):
        alone = model(x[row : row + 1], t[row : row + 1], condition(1))
        for name in ("x", "x0", "eps", "alpha", "sigma"):
            torch.testing.assert_close(getattr(found, name)[row], getattr(alone, name)[0])


def test_rows_of_joined_texts_may_stand_in_different_periods():
    """`[a:b:0.5] AND c` of several pictures whose times fall apart."""

    def joined(k: int) -> Text:
        other = Text(torch.full((2, 3, 4), 10.0 + k))
        return Text(torch.full((2, 3, 4), float(k)), others=(other,), shares=torch.tensor([[0.6, 0.4]] * 2))

    text = ScheduledText.of([joined(0), joined(1)], [float("inf"), 0.5]).at(torch.tensor([0.7, 0.4]))
    assert text.embeds[:, 0, 0].tolist() == [0, 1]
    assert text.others[0].embeds[:, 0, 0].tolist() == [10, 11]
    assert torch.equal(text.shares, torch.tensor([[0.6, 0.4]] * 2))
