"""Every guidance with every sampler: it has its effect, or is refused by name."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from sfumato.condition import Condition, Label
from sfumato.denoise import GaussianMixture, bind
from sfumato.guide import CFGPlusPlus, ClassifierFree, DynamicThreshold, Guided, ProjectedGuidance, StaticThreshold
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDIM, Langevin, PredictorCorrector, Sampler, trajectory
from sfumato.schedule import Cosine
from sfumato.times import grid

SCHEDULE = Cosine()
MEANS = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
ORACLE = GaussianMixture(SCHEDULE, MEANS, 0.6, labels=torch.tensor([0, 1]))  # its classes overlap
ROWS = 24
SCORE_ALONE = {"euler-maruyama", "langevin", "predictor-corrector", "rk45"}


def sampler(name: str) -> Sampler:
    return Langevin(4, 0.3) if name == "langevin" else Sampler.registry.named(name)


@cache
def reached(name: str, guidances: tuple, label: int = 0) -> torch.Tensor:
    """Where the pictures of a class end."""
    denoise = bind(Guided(ORACLE, guidances), Condition((Label(torch.full((ROWS,), label), none=2),)))
    noise = KeyedNoise(range(ROWS))
    x = noise(torch.zeros(ROWS, 2, dtype=torch.float64), "start")
    *_, last = trajectory(denoise, sampler(name), x, grid("log-snr", 10 if name == "rk45" else 30, SCHEDULE), noise)
    return last.x


def apart(name: str, *guidances) -> float:
    """How far the two classes' pictures end from each other along the line between their means."""
    return float((reached(name, guidances, 0) - reached(name, guidances, 1))[:, 0].mean())


@pytest.mark.parametrize("name", Sampler.registry)
@pytest.mark.parametrize(
    "guidance", [ClassifierFree(3.0), ProjectedGuidance(3.0, eta=1.0)], ids=lambda g: type(g).__name__
)
def test_guidance_draws_the_classes_apart(name, guidance):
    """Unguided pictures of a class end around its mean, 2 from the other's; guided ones further out."""
    assert apart(name) == pytest.approx(2, abs=0.8)
    assert apart(name, guidance) > 1.2 * apart(name)


@pytest.mark.parametrize("name", Sampler.registry)
def test_cfg_plus_plus_leads_to_its_class_or_is_refused(name):
    """At scale 1 x0 is the class's own, and the two classes end apart; at scale 0 they are one."""
    if name in SCORE_ALONE:
        with pytest.raises(
            BadInput, match=f"CFGPlusPlus guides the picture and not the noise.*{type(sampler(name)).__name__}"
        ):
            apart(name, CFGPlusPlus(1.0))
        return
    assert apart(name, CFGPlusPlus(1.0)) > 1
    assert apart(name, CFGPlusPlus(0.0)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", sorted(SCORE_ALONE - {"predictor-corrector"}))  # half of which reads x0 too
def test_those_that_refuse_it_would_lose_it(name, monkeypatch):
    """What is refused is refused for a reason: the classes would come apart by much less than with DDIM."""
    monkeypatch.setattr("sfumato.sample.refuse_misfits", lambda *_: None)
    first, second = (reached.__wrapped__(name, (CFGPlusPlus(1.0),), label)[:, 0].mean() for label in (0, 1))
    assert float(first - second) < 0.75 * apart("ddim", CFGPlusPlus(1.0))


def test_a_corrector_reads_the_score_whatever_the_predictor():
    denoise, knots = bind(Guided(ORACLE, [CFGPlusPlus()]), Condition.empty(1)), torch.tensor([1.0, 0.0])
    for chosen in (PredictorCorrector("ddim"), PredictorCorrector("euler-maruyama", corrections=0)):
        with pytest.raises(BadInput, match="CFGPlusPlus"):
            list(trajectory(denoise, chosen, torch.zeros(1, 2), knots, KeyedNoise([0])))


@pytest.mark.parametrize("name", Sampler.registry)
@pytest.mark.parametrize("guidance", [StaticThreshold(0.4), DynamicThreshold(0.5, 0.4)], ids=lambda g: type(g).__name__)
def test_a_threshold_holds_at_the_end(name, guidance):
    """Every sampler ends at the last x0, within the limit that unguided pictures exceed; near it those that look back
    in the last step too."""
    assert float(reached(name, ()).abs().max()) > 1
    back = name in ("adams-bashforth", "lms", "plms")
    assert float(reached(name, (guidance,)).abs().max()) < (0.8 if back else 0.4 + 1e-9)


def test_ddim_takes_the_unconditional_noise():
    """CFG++'s step by hand: alpha_s x0 + sigma_s eps_u (Chung et al. 2024, algorithm 2)."""
    condition = Condition((Label(torch.zeros(3, dtype=torch.long), none=2),))
    t, s = torch.tensor([0.7, 0.5], dtype=torch.float64)
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got, _ = DDIM().step(bind(Guided(ORACLE, [CFGPlusPlus(0.6)]), condition), x, t, s, None, KeyedNoise(range(3)))
    u, c = ORACLE(x, t, condition.null()), ORACLE(x, t, condition)
    alpha, sigma = SCHEDULE(s)
    torch.testing.assert_close(got, alpha * (u.x0 + 0.6 * (c.x0 - u.x0)) + sigma * u.eps)
