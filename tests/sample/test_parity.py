"""Our samplers give what diffusers' schedulers give, by the same code as `benchmarks/parity.py`."""

from dataclasses import replace

import parity
import pytest

from sfumato.times import LeadingGrid, grid


@pytest.mark.parametrize("case", parity.CASES, ids=str)
def test_the_same_as_diffusers(case):
    assert parity.difference(case) <= parity.PROMISED


@pytest.mark.parametrize("name", ["ddim", "ddpm", "euler", "heun", "dpmpp-2m", "dpmpp-3m", "unipc", "deis"])
def test_the_table_has(name):
    assert any(case.name == name for case in parity.CASES)


@pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpmpp-3m", "unipc", "deis"])
def test_whatever_the_network_predicts(name, prediction):
    case = next(case for case in parity.CASES if case.name == name)
    case = replace(case, prediction=prediction, config={**case.config, "prediction_type": prediction})
    assert parity.difference(case) <= parity.PROMISED


def test_the_grids_are_diffusers_own():
    case = next(case for case in parity.CASES if case.name == "ddim")
    assert parity.knots(case, case.made()).tolist() == grid("leading", 20, parity.SCHEDULE).tolist()
    case = next(case for case in parity.CASES if case.name == "ddpm")  # down to index 0, where no large noise is added
    assert parity.knots(case, case.made()).tolist() == LeadingGrid(offset=0)(25, parity.SCHEDULE).tolist()
    case = next(case for case in parity.CASES if case.name == "heun")
    assert parity.knots(case, case.made()).tolist() == grid("trailing", 20, parity.SCHEDULE).tolist()


def test_flow_matching():
    assert parity.flow_matching() <= parity.PROMISED


def test_karras_grid_and_euler_together():
    """Unrounded times: the oracle is asked at the scheduler's own sigmas."""
    case = parity.Case("euler", {}, "EulerDiscreteScheduler", {"use_karras_sigmas": True}, scaled=True)
    scheduler = case.made()
    stock = parity.theirs(case, scheduler, lambda i: parity.SCHEDULE.time(scheduler.sigmas[i].double()))
    assert parity.relative(parity.ours(case, grid("karras", 20, parity.SCHEDULE)), stock) <= parity.PROMISED
