import pytest
import torch

from sfumato.picture import BadInput
from sfumato.schedule import VE, Discrete, Flow
from sfumato.schedule.named import SCHEDULES, named


@pytest.mark.parametrize("kind", SCHEDULES)
def test_every_named_schedule_begins_clean_and_ends_noisy(kind):
    schedule = named(kind)
    assert [float(a) for a in schedule(0.0)] == [1, 0]
    alpha, sigma = schedule(1.0)
    assert sigma > 10 * alpha


def test_options_reach_the_schedule():
    assert named("flow", shift=3.0) == Flow(3.0)
    assert named("ve", sigma_max=7.0) == VE(sigma_max=7.0)
    theirs = Discrete.named("scaled_linear", 10, 0.00085, 0.012, zero_terminal=True)
    assert torch.equal(named("scaled_linear", count=10, zero_terminal=True).phi, theirs.phi)  # type: ignore[attr-defined]


def test_refusals_name_what_is_accepted():
    with pytest.raises(BadInput, match=r"Unknown schedule 'cosines': choose one of linear, .*cosine"):
        named("cosines")
    with pytest.raises(BadInput, match="The schedule 'flow' does not take speed"):
        named("flow", speed=2)
