"""Our samplers give what diffusers' schedulers give, by the same code as `benchmarks/parity.py`."""

from dataclasses import replace

import parity
import pytest

from sfumato.times import LeadingGrid, grid


@pytest.mark.parametrize("case", parity.CASES, ids=str)
def test_the_same_as_diffusers(case):
    assert parity.difference(case) <= parity.PROMISED


@pytest.mark.parametrize(
    "name", ["ddim", "ddpm", "euler", "heun", "dpmpp-2m", "dpmpp-3m", "unipc", "deis", "lms", "plms", "dpm2", "dpm2-a"]
)
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


def test_single_steps_are_those_of_diffusers():
    """Whose every other knot is the middle of a step, where the knots are even in log sigma; its last two steps are
    of first order."""
    case = parity.Case(
        "dpmpp-2s", {}, "DPMSolverSinglestepScheduler", {"use_exponential_sigmas": True, "lower_order_final": True}
    )
    scheduler = case.made()
    sigmas = scheduler.sigmas.double()
    sigmas[1:-1:2] = (sigmas[:-2:2] * sigmas[2::2]).sqrt()[: len(sigmas[1:-1:2])]  # exactly, as float32 is not
    scheduler.sigmas = sigmas
    times = parity.SCHEDULE.time(sigmas[:19])
    x, oracle = parity.START, parity.Oracle()
    for index, t in zip(scheduler.timesteps[:18], times, strict=False):
        x = scheduler.step(oracle(x, t).eps, index, x).prev_sample
    assert parity.relative(parity.ours(case, times[::2]), x) <= parity.PROMISED
