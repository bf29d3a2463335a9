from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sfumato.picture import BadInput
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, FlowBySteps, VPLinear
from sfumato.times import (
    BetaGrid,
    DiscardPenultimateGrid,
    LeadingGrid,
    LinearQuadraticGrid,
    RestartGrid,
    ShiftedGrid,
    TimeGrid,
    from_indices,
    from_strength,
    grid,
    jumps,
)

STABLE = Discrete.named("scaled_linear", 1000, 0.00085, 0.012)
SCHEDULES = [
    STABLE,
    Discrete.named(zero_terminal=True),
    VPLinear(),
    Cosine(),
    VE(),
    Flow(),
    EDM(),
    FlowBySteps(5.0, shift_at=lambda n: 9.0),
]


@settings(max_examples=200, deadline=None)
@example(name="karras", schedule=Cosine(), steps=10, start=1 - 2**-53)
@example(name="log-snr", schedule=Flow(), steps=10, start=1 - 2**-53)
@given(
    name=st.sampled_from(list(TimeGrid.registry)),
    schedule=st.sampled_from(SCHEDULES),
    steps=st.integers(1, 200),
    start=st.one_of(st.just(1.0), st.floats(1e-6, 1)),
)
def test_every_grid_falls_from_its_start_to_exactly_0(name, schedule, steps, start):
    times = grid(name, steps, schedule, start)
    falls = times.diff() < 0
    assert int(falls.sum()) == steps
    assert times.dtype == torch.float64
    assert bool(falls.all()) or TimeGrid.registry.named(name).rises
    assert float(times.max()) == float(times[0])
    assert times[-1] == 0
    if name != "leading" or start < 1:
        assert times[0] == start


@pytest.mark.parametrize("steps", [1, 7, 20, 50, 999, 1000])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_spacings_are_those_of_diffusers(spacing, steps):
    from diffusers import DDIMScheduler

    offset = 1 if spacing == "leading" and steps < 1000 else 0
    stock = DDIMScheduler(timestep_spacing=spacing, steps_offset=offset)
    stock.set_timesteps(steps)
    assert torch.equal(grid(spacing, steps, STABLE), from_indices(stock.timesteps, 1000))


def test_leading_begins_below_1():
    assert float(grid("leading", 20, STABLE)[0]) == pytest.approx(0.952)
    assert float(LeadingGrid(0)(20, STABLE)[0]) == pytest.approx(0.951)


def test_karras_grid_is_that_of_diffusers():
    from diffusers import EulerDiscreteScheduler

    stock = EulerDiscreteScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, use_karras_sigmas=True
    )
    stock.set_timesteps(20)
    alpha, sigma = STABLE(grid("karras", 20, STABLE))
    torch.testing.assert_close((sigma / alpha).float(), stock.sigmas, rtol=1e-4, atol=0)


def test_the_beta_grid_in_kappa_is_that_of_diffusers():
    from diffusers import EulerDiscreteScheduler

    stock = EulerDiscreteScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, use_beta_sigmas=True
    )
    stock.set_timesteps(20)
    alpha, sigma = STABLE(grid("beta-kappa", 20, STABLE))
    torch.testing.assert_close((sigma / alpha).float(), stock.sigmas, rtol=1e-4, atol=0)


def test_the_beta_grid_of_1_and_1_is_even_and_the_papers_is_dense_at_both_ends():
    even = grid(BetaGrid(1.0, 1.0), 8, STABLE) * 1000
    torch.testing.assert_close(even[:-1], 999 * (1 - torch.arange(8).double() / 8) + 1)
    steps = -grid("beta", 20, STABLE).diff()
    assert steps[0] < steps[10] > steps[-1]


def test_align_your_steps_are_the_published_levels_and_those_of_diffusers():
    from diffusers.schedulers import AysSchedules

    for name, key in (
        ("align-your-steps", "StableDiffusionSigmas"),
        ("align-your-steps-xl", "StableDiffusionXLSigmas"),
    ):
        alpha, sigma = STABLE(grid(name, 10, STABLE))
        torch.testing.assert_close(sigma / alpha, torch.tensor(AysSchedules[key]).double(), rtol=1e-3, atol=0)
    alpha, sigma = STABLE(grid("align-your-steps", 20, STABLE))
    assert float((sigma / alpha)[3]) == pytest.approx((6.475 * 3.861) ** 0.5)
    alpha, sigma = STABLE(grid("align-your-steps-a1111", 11, STABLE))
    assert float((sigma / alpha)[-2]) == pytest.approx(0.029, rel=1e-2)


def test_kl_optimal_is_even_in_the_arctangent():
    alpha, sigma = STABLE(grid("kl-optimal", 10, STABLE)[:-1])
    steps = torch.atan(sigma / alpha).diff()
    torch.testing.assert_close(steps, steps[0].expand(9))
    alpha, sigma = STABLE(grid("kl-optimal-a1111", 10, STABLE)[:-1])
    most, least = (torch.atan(torch.tensor(kappa, dtype=torch.float64)) for kappa in (14.6146, 0.0292))
    theirs = [torch.tan(i / 10 * least + (1 - i / 10) * most) for i in range(10)]  # and the 11th, the least level
    torch.testing.assert_close(sigma / alpha, torch.stack(theirs), rtol=1e-3, atol=0)


def test_simple_rounds_up():
    """A1111's: sigmas[-(1 + int(k N/n))]."""
    for steps in (7, 20, 30):
        assert torch.equal(
            grid("simple", steps, STABLE), from_indices([999 - int(k * 1000 / steps) for k in range(steps)], 1000)
        )


def test_discarding_leaves_out_the_last_knot_but_one_of_a_step_more():
    whole = grid("karras", 11, STABLE)
    expected = torch.cat([whole[:10], whole[11:]])
    assert torch.equal(grid(DiscardPenultimateGrid(), 10, STABLE), expected)
    assert torch.equal(grid(DiscardPenultimateGrid("karras"), 10, STABLE), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", [Flow(), Flow(2.0), STABLE], ids=str)
def test_a_shifted_grid_is_that_of_a_flow_of_its_shift(schedule):
    """tau = s u/(1 + (s - 1) u), whatever the schedule; on one that ends before pure noise, and from a strength, over
    what is left."""
    for start in (1.0, 0.6):
        knots = ShiftedGrid(3.0)(8, schedule, start)
        assert (float(knots[0]), float(knots[-1])) == (start, 0.0)
        alpha, sigma = schedule(knots)
        tau = sigma / (alpha + sigma)
        u = tau / (3 - 2 * tau)
        torch.testing.assert_close(u.diff(), (-u[0] / 8).expand(8), atol=1e-9, rtol=1e-6)
    with pytest.raises(BadInput, match="above 0"):
        ShiftedGrid(0.0)


def test_a_shift_of_the_model_s_own_is_its_even_grid():
    torch.testing.assert_close(ShiftedGrid(2.5)(10, Flow(2.5)), grid("uniform", 10, Flow(2.5)))


def a1111_restart(steps: int, sigmas: list[float]) -> list[tuple[float, float]]:
    """The steps of A1111's restart_sampler (modules/sd_samplers_extra.py), each (from, to) in sigma."""

    def karras(n: int, low: float, high: float) -> list[float]:
        return [
            (high ** (1 / 7) + k / (n - 1) * (low ** (1 / 7) - high ** (1 / 7))) ** 7 for k in range(n)
        ] + [0.0]  # fmt: skip

    again, repeats = (0, 0) if steps < 20 else (9, 1) if steps < 36 else (steps // 4, 2)
    knots = karras(steps - again * repeats, sigmas[-2], sigmas[0]) if again else sigmas
    found = list(pairwise(knots))
    if again:
        low, high = (min(range(len(knots)), key=lambda i: abs(knots[i] - level)) for level in (0.1, 2.0))
        walked = list(pairwise(karras(again + 1, knots[low], knots[high])[:-1]))
        found = found[:low] + walked * repeats + found[low:]
    return found


@pytest.mark.parametrize("steps", [12, 20, 30, 36, 50])
def test_restart_is_a1111_s(steps):
    alpha, sigma = STABLE(RestartGrid()(steps, STABLE))
    kappa = (sigma / alpha).tolist()
    down = [pair for pair in pairwise(kappa) if pair[0] > pair[1]]
    alpha, sigma = STABLE(grid("karras", steps, STABLE))
    expected = a1111_restart(steps, (sigma / alpha).tolist())
    assert len(down) == steps
    torch.testing.assert_close(torch.tensor(down), torch.tensor(expected), rtol=1e-6, atol=1e-9)


def test_restart_goes_up_as_often_as_it_is_told_and_keeps_its_steps():
    knots = RestartGrid(again=3, repeats=4, low=0.3, high=3.0)(20, STABLE)
    assert (len(knots), int((knots.diff() > 0).sum())) == (20 + 1 + 4, 4)
    assert RestartGrid().rises
    assert ShiftedGrid(3.0, RestartGrid()).rises
    assert not ShiftedGrid(3.0).rises
    assert torch.equal(RestartGrid(high=0.1, low=5.0)(20, STABLE), grid("karras", 20, STABLE))  # nothing between them
    with pytest.raises(BadInput, match="give it more steps"):
        RestartGrid(again=5, repeats=4)(20, STABLE)


def test_karras_on_edm_is_uniform_in_t():
    times = grid("karras", 18, EDM())
    torch.testing.assert_close(times[:-1].diff(), (times[1] - times[0]).expand(17))
    assert float(EDM()(times[-2])[1]) == pytest.approx(0.002)


def test_log_snr_grid_is_uniform_in_it():
    alpha, sigma = STABLE(grid("log-snr", 10, STABLE)[:-1])
    steps = (alpha / sigma).log().diff()
    torch.testing.assert_close(steps, steps[0].expand(9))


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_linear_quadratic_begins_with_the_steps_of_a_fine_grid_and_grows_without_a_bend(steps):
    """Movie Gen's: the first half as of 1000 equal steps where the share is so many of them, then a parabola to 0."""
    half = max(steps // 2, 1)
    for of, schedule, whole in (("tau", Flow(2.0), 1.0), ("kappa", STABLE, 14.6146)):
        knots = LinearQuadraticGrid(of=of)(steps, schedule)  # pyright: ignore[reportArgumentType]
        alpha, sigma = schedule(knots)
        levels = sigma / whole / (alpha + sigma if of == "tau" else alpha)
        lengths = -levels.diff()
        torch.testing.assert_close(
            lengths[: min(half, steps - 1)],
            torch.full((min(half, steps - 1),), 0.025 / half).double(),
            rtol=1e-3,
            atol=0,
        )
        growth = lengths[half:].diff()  # a parabola's steps grow evenly, from half of that at the joint
        if len(growth) > 1:
            torch.testing.assert_close(growth, growth[0].expand(len(growth)), rtol=1e-3, atol=0)
            torch.testing.assert_close(lengths[half] - 0.025 / half, growth[0] / 2, rtol=1e-3, atol=0)
        assert levels[-1] == 0
    begun = LinearQuadraticGrid()(20, STABLE, 0.6)
    assert begun[0] == 0.6


def test_a_stride_walks_the_table_that_far():
    for asked in (1, 7, 20, 30, 999, 1000):
        made, steps = LeadingGrid.reaching(asked)
        assert torch.equal(made(steps, STABLE), from_indices(list(range(1, 1000, 1000 // asked))[::-1], 1000))
        assert (made.stride is None) == (steps == asked or asked == 1000)
    with pytest.raises(BadInput, match="at most 31 steps, not 32"):
        LeadingGrid(stride=33)(32, STABLE)


def test_start_0_is_one_knot():
    assert grid("karras", 20, STABLE, 0.0).tolist() == [0]
    assert from_strength(grid("uniform", 5, STABLE), 0.0).tolist() == [0]


@settings(max_examples=50, deadline=None)
@given(strength=st.floats(1e-6, 1), name=st.sampled_from(list(TimeGrid.registry)))
def test_strength_rebuilds_a_grid_of_as_many_steps(strength, name):
    times = grid(name, 13, STABLE)
    rebuilt = from_strength(times, strength)
    assert rebuilt[0] == strength
    assert rebuilt[-1] == 0
    assert (rebuilt.diff() < 0).all()
    torch.testing.assert_close(rebuilt / strength, times / times[0])


def test_jumps_of_repaint():
    times = grid("uniform", 4, STABLE)
    expected = [1, 0.75, 0.5, 0.25, 0.75, 0.5, 0.25, 0.75, 0.5, 0.25, 0]
    assert jumps(times, length=2, repeats=3).tolist() == expected
    assert torch.equal(jumps(times, length=2, repeats=1), times)
    assert torch.equal(jumps(times[-1:], length=2, repeats=3), times[-1:])  # strength 0


def of_the_paper(steps, length, repeats):
    """The knots above the clean end that RePaint's algorithm visits, by its own counters (Lugmayr et al. 2022)."""
    left = dict.fromkeys(range(0, steps - length, length), repeats - 1)
    index, visited = steps, []
    while index >= 1:
        index -= 1
        visited.append(index)
        if left.get(index, 0) > 0:
            left[index] -= 1
            index += length  # its steps up are noise alone: one jump
            visited.append(index)
    return [index + 1 for index in visited] + [0]


@pytest.mark.parametrize(
    ("steps", "length", "repeats"),
    [(25, 10, 4), (250, 10, 10), (11, 10, 2), (15, 10, 3), (19, 10, 2), (20, 10, 5), (7, 1, 3)],
)
def test_jumps_are_anchored_at_the_clean_end_as_in_the_paper(steps, length, repeats):
    """25 steps, length 10: the steps of the indices 1 to 20 are repeated, the last one and the first four are not."""
    found = (jumps(grid("uniform", steps, STABLE), length, repeats) * steps).round().int().tolist()
    assert found == of_the_paper(steps, length, repeats)


def test_jumps_never_silently_do_nothing():
    for steps in (10, 3, 1):
        with pytest.raises(BadInput, match=f"jumps of 10 steps need more than 10 steps, not {steps}"):
            jumps(grid("uniform", steps, STABLE), length=10, repeats=2)
    for steps in (11, 15, 19, 20, 25):
        assert (jumps(grid("uniform", steps, STABLE), length=10, repeats=2).diff() > 0).any()


def test_wrong_grids_are_refused_in_a_sentence():
    for steps in (0, -3, 2.5, True):
        with pytest.raises(BadInput, match="whole number of at least 1"):
            grid("uniform", steps, STABLE)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=f"accepted are {', '.join(TimeGrid.registry)}"):
        grid("linear", 10, STABLE)
    for start in (1.5, -0.1, float("nan")):
        with pytest.raises(BadInput, match="between 0"):
            grid("uniform", 10, STABLE, start)
    for name in ("leading", "trailing"):
        with pytest.raises(BadInput, match="at most 1000 steps"):
            grid(name, 1001, STABLE)
    with pytest.raises(BadInput, match="at least 1 repeat"):
        jumps(grid("uniform", 4, STABLE), 2, 0)


def test_the_uniform_grid_of_a_schedule_by_steps_is_that_of_the_schedule_of_so_many():
    schedule = FlowBySteps(5.0, shift_at=lambda steps: 20.0 / steps)
    for steps, start in ((4, 1.0), (2, 1.0), (5, 0.6)):
        knots, own = grid("uniform", steps, schedule, start), Flow(20.0 / steps)
        sigma = schedule(knots)[1]
        first = own.time(sigma[0] / (1 - sigma[0]))
        torch.testing.assert_close(sigma, own(first * (1 - torch.arange(steps + 1) / steps))[1])
        assert (float(knots[0]), float(knots[-1])) == (start, 0)
    torch.testing.assert_close(grid("uniform", 4, FlowBySteps(5.0)), grid("uniform", 4, Flow(5.0)))
