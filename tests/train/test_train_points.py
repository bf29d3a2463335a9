"""Points: a tiny trained network approaches the oracle; every objective trains, exports and resumes exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato import train
from sfumato.condition import Condition, Label
from sfumato.data import toy_points as points
from sfumato.denoise import GaussianMixture, bind
from sfumato.evaluate.likelihood import log_likelihood
from sfumato.guide import ClassifierFree, Guided
from sfumato.network import mlp
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import noised
from sfumato.times import UniformGrid
from sfumato.train import checkpoint
from sfumato.train.tasks.points import energy_distance

TINY = [
    "network={width: 64, depth: 2}",
    "batch=128",
    "optimizer={lr: 4.0e-3, warmup: 20, weight_decay: 0.0}",
    "ema.decay=0.98",
    "data={kind: ring, count: 20000}",
    "preview={count: 50, steps: 3}",
    "every={log: 100, sample: 10000, save: 10000}",
]


def run(folder: Path, steps: int, *overrides: str) -> dict[str, float]:
    train.run(Path("points"), out=folder, overrides=[*TINY, f"steps={steps}", *overrides])
    return json.loads((folder / "figures.json").read_text())


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the ring, trained for a few seconds."""
    folder = tmp_path_factory.mktemp("ring")
    figures = run(folder, 600, "preview.steps=12", "dropout=0.25")
    assert figures["energy_distance"] < 0.01
    return folder / "export"


def oracle(schedule) -> GaussianMixture:
    centres = torch.from_numpy(points.ring_centres())
    return GaussianMixture(schedule, centres, points.RING_SPREAD**2, labels=torch.arange(8))


def labelled(ids) -> Condition:
    return Condition((Label(torch.as_tensor(ids), 8),))


def draw(denoiser, name: str, ids: torch.Tensor, steps: int = 25) -> torch.Tensor:
    noise = KeyedNoise(range(len(ids)))
    times = UniformGrid()(steps, denoiser.schedule)
    for step in trajectory(
        bind(denoiser, labelled(ids)), Sampler.registry.named(name), noise(torch.zeros(len(ids), 2)), times, noise
    ):
        x = step.x
    return x


@pytest.mark.parametrize("told", [True, False], ids=["with its class", "without"])
@pytest.mark.parametrize("t", [0.2, 0.5, 0.8])
def test_it_approaches_the_oracle_s_score(ring, told, t):
    """The noise that it predicts is near E[eps | x], told the class and not: within a quarter of both errors known."""
    denoiser = mlp.load(ring)
    x0, ids = (torch.from_numpy(a) for a in points.draw("ring", 1, 2000))
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    x = noised(denoiser.schedule, x0, t, eps)
    condition = labelled(ids if told else torch.full_like(ids, 8))
    ours, theirs = (d(x, torch.tensor(t), condition).eps for d in (denoiser, oracle(denoiser.schedule)))
    silent = x * denoiser.schedule(t)[1].float()  # what v = 0 says; eps itself is what cannot be known
    error, untrained, unknown = (float((e - theirs).square().mean()) for e in (ours, silent, eps))
    assert error < 0.25 * min(untrained, unknown) + 0.003


@pytest.mark.parametrize("name", ["ddpm", "ddim", "heun", "dpmpp-2m", "dpmpp-2m-sde", "unipc", "rk45"])
def test_every_sampler_draws_the_class_that_it_is_told(ring, name):
    ids = torch.arange(8).repeat(25)
    x = draw(mlp.load(ring), name, ids)
    for k, centre in enumerate(points.ring_centres()):
        mine = x[ids == k].numpy()
        np.testing.assert_allclose(mine.mean(0), centre, atol=0.12)
        np.testing.assert_allclose(mine.std(0), points.RING_SPREAD, rtol=0.4)


def test_without_a_class_it_draws_all_of_them_equally(ring):
    x = draw(mlp.load(ring), "heun", torch.full((400,), 8))
    nearest = torch.cdist(x.double(), torch.from_numpy(points.ring_centres())).argmin(1)
    share = torch.bincount(nearest, minlength=8) / 400
    assert float(share.min()) > 0.06
    assert float(share.max()) < 0.2


def test_guidance_sharpens_a_class(ring):
    ids = torch.arange(8).repeat(30)
    plain = mlp.load(ring)
    x, guided = draw(plain, "ddim", ids), draw(Guided(plain, [ClassifierFree(3.0)]), "ddim", ids)
    centres = torch.from_numpy(points.ring_centres())[ids]
    assert (guided * centres).sum(1).mean() > (x * centres).sum(
        1
    ).mean()  # guidance pushes outwards, away from the rest


OBJECTIVES = {
    "edm": ["parameterization=edm", "schedule=edm", "times=log-normal", "weighting=edm"],
    "flow": ["parameterization=flow", "schedule=flow", "times=logit-normal"],
    "score-matching": ["loss=score-matching", "schedule=vp-linear"],
    "hybrid": ["loss=hybrid", "times=importance", "table=50", "schedule=squaredcos_cap_v2", "parameterization=eps"],
}
OTHERS = {
    "l-simple": ["parameterization=eps", "schedule=linear", "times=table"],
    "min-snr": ["parameterization=x0", "weighting=min-snr", "schedule=sub-vp"],
    "l1": ["loss={kind: regression, norm: 1}"],
    "denoising": ["parameterization=score", "weighting=simple", "schedule={kind: ve, sigma_max: 8.0}"],
    "exact": ["loss={kind: score-matching, trace: full}", "schedule=vp-scaled-linear"],
    "vlb": ["loss=vlb", "times=importance", "table=50", "schedule=linear", "parameterization=eps"],
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_kind_of_objective_comes_near_to_the_data(tmp_path, name):
    """From noise, at an energy distance of 0.05, in 150 steps of a tiny network."""
    data, noise = torch.from_numpy(points.draw("ring", 0, 2000)[0]), KeyedNoise(range(2000))(torch.zeros(2000, 2))
    assert energy_distance(noise, data) > 0.045
    figures = run(tmp_path, 150, *[f"objective.{choice}" for choice in OBJECTIVES[name]], "preview.steps=12")
    assert figures["energy_distance"] < 0.03


@pytest.mark.parametrize("name", OTHERS)
def test_every_objective_trains_and_exports(tmp_path, name):
    figures = run(tmp_path, 2, *[f"objective.{choice}" for choice in OTHERS[name]])
    assert np.isfinite(list(figures.values())).all()
    denoiser = mlp.load(tmp_path / "export")
    p = denoiser(torch.randn(50, 2), torch.tensor(0.5), Condition.empty(50))
    assert (p.fraction is None) == (name != "vlb")
    assert bool(torch.isfinite(p.x0).all())


def test_a_run_with_importance_sampled_steps_is_the_same_in_one_go_or_in_two(tmp_path):
    choices = ["objective.loss=vlb", "objective.table=4", "objective.schedule=linear", "optimizer.schedule=constant"]
    choices.append("objective.times={kind: importance, history: 3}")
    run(tmp_path / "once", 12, *choices)
    run(tmp_path / "twice", 6, *choices)
    run(tmp_path / "twice", 12, *choices)
    one, two = (checkpoint.read(tmp_path / n / "checkpoints" / "step-00000012") for n in ("once", "twice"))
    assert set(one.memory) == {"objective.history.losses", "objective.history.counts"}
    assert int(one.memory["objective.history.counts"].sum()) == 12 * 128
    for state in ("network", "ema", "memory"):
        assert all(torch.equal(a, getattr(two, state)[k]) for k, a in getattr(one, state).items())


def test_a_run_without_labels_and_one_that_never_drops_them(tmp_path):
    run(tmp_path / "free", 2, "labels=false")
    assert mlp.load(tmp_path / "free" / "export").backbone.accepts == {}  # type: ignore[attr-defined]
    run(tmp_path / "told", 2, "dropout=0")
    with pytest.raises(BadInput, match="knows the classes 0 to 7: give it a Label"):
        mlp.load(tmp_path / "told" / "export")(torch.zeros(2, 2), torch.tensor(0.5), Condition.empty(2))


def test_sample_sheets_show_data_and_samples(tmp_path):
    from PIL import Image

    run(tmp_path, 2)
    sheet = np.asarray(Image.open(tmp_path / "samples" / "samples-00000002.png"))
    assert sheet.shape == (512, 512, 3)
    for panel in (sheet[:256, :256], sheet[256:, 256:]):
        assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 5


def test_energy_distance_is_0_for_equal_laws_and_known_for_shifted_points():
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(1500, 2, generator=draw) for _ in range(2))
    assert abs(energy_distance(x, y)) < 0.01
    assert energy_distance(torch.zeros(3, 2), torch.ones(4, 2)) == pytest.approx(2 * 2**0.5)


def test_energy_distance_is_unbiased():
    """By hand: E|x - y| = 4/3, E|x - x'| = 2, E|y - y'| = 4/3, each over pairs of different points."""
    x, y = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    expected = 2 * (0 + 1 + 2 + 2 + 1 + 0) / 6 - 2 - (1 + 2 + 1) / 3
    assert energy_distance(x, y) == pytest.approx(expected)
    draw = torch.Generator().manual_seed(0)
    found = [energy_distance(*(torch.randn(3, 1, generator=draw) for _ in range(2))) for _ in range(2000)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 2000**0.5


def test_its_exact_likelihood_is_near_the_oracle_s(ring):
    """In nats of two dimensions, told the class: within 0.3 of the truth on average."""
    denoiser = mlp.load(ring)
    x, ids = (torch.from_numpy(a) for a in points.draw("ring", 2, 60))
    times, condition = UniformGrid()(20, denoiser.schedule), labelled(ids)
    times[-1] = denoiser.schedule.last
    found = log_likelihood(bind(denoiser, condition), x, sampler=Sampler.registry.named("heun"), times=times).mean()
    assert float(found) == pytest.approx(
        float(oracle(denoiser.schedule).log_density(x, 0.0, condition).mean()), abs=0.3
    )
