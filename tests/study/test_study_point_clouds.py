"""Studies of points: the exact roll and mixture that they measure by, their distances, and short runs of both."""

import csv

import numpy as np
import pytest
import torch

from sfumato import study
from sfumato.data.toy_points import draw
from sfumato.network import mlp
from sfumato.picture import BadInput
from sfumato.schedule import Cosine
from sfumato.study import point_clouds, score_field, swiss_roll

QUICK = {
    "swiss-roll": ["training=30", "batch=64", "width=16", "steps=5", "count=60", "paths=3"],
    "score-field": ["training=30", "batch=64", "width=16", "levels=3", "repeats=2", "count=60"],
}


def silent(done, total):
    pass


@pytest.mark.parametrize("name", QUICK)
def test_runs_from_end_to_end(tmp_path, name):
    page = study.run(name, out=tmp_path, settings=QUICK[name], progress=False)
    assert page.read_text().count("<figure>") == len(list(tmp_path.glob("*.png"))) >= 2
    with open(tmp_path / "table.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) >= 6


def test_the_roll_as_a_mixture_has_the_moments_and_the_density_of_its_points():
    exact, true = swiss_roll.roll(Cosine()), draw("swiss-roll", 5, 20_000)[0]
    drawn = exact.draw(20_000, seed=1).numpy()
    assert drawn.mean(0) == pytest.approx(true.mean(0), abs=0.03)
    assert np.cov(drawn.T) == pytest.approx(np.cov(true.T), abs=0.03)
    assert point_clouds.sliced_wasserstein(drawn, true) < 0.03
    inside = exact.log_density(torch.from_numpy(true)).mean()
    assert float(inside) == pytest.approx(float(exact.log_density(torch.from_numpy(drawn)).mean()), abs=0.02)


def test_places_along_the_roll_go_from_its_inside_to_its_outside():
    means = swiss_roll.roll(Cosine()).means.numpy()
    assert swiss_roll.place_along(means) == pytest.approx(np.linspace(0, 1, len(means)))


def test_the_sliced_distance_of_shifted_clouds_is_the_shift():
    """W2 of a shift d is |d| in every direction's shadow: its mean square over directions is |d|^2/2 in the plane."""
    cloud = np.random.default_rng(0).normal(size=(500, 2))
    assert point_clouds.sliced_wasserstein(cloud, cloud) == 0
    assert point_clouds.sliced_wasserstein(cloud, cloud + np.array([3.0, 4.0])) == pytest.approx(5 / np.sqrt(2))


def test_an_error_of_scores_is_relative():
    true = torch.tensor([[3.0, 4.0]])
    assert point_clouds.score_error(true, true) == 0
    assert point_clouds.score_error(torch.zeros(1, 2), true) == pytest.approx(1)
    assert point_clouds.score_error(1.1 * true, true) == pytest.approx(0.01)


def test_training_makes_the_score_right_and_is_a_function_of_its_arguments():
    exact = score_field.mixture()

    def trained(steps):
        return score_field.train_on_mixture(silent, steps=steps, batch=256, width=32)

    def error(result):
        t = exact.schedule.time(1.0)
        x = exact.draw(500, seed=3) + torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
        return point_clouds.score_error(
            point_clouds.alone(point_clouds.trained_network(result), 500)(x.float(), t).eps, exact(x, t).eps
        )

    first, again = trained(200), trained(200)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert error(first) < 0.1 < error(trained(1))


def test_langevin_finds_the_shares_when_it_is_annealed_and_not_at_little_noise():
    moves = {"levels": 12, "repeats": 15, "count": 1500}
    nothing = {}
    annealed = score_field.langevin(silent, nothing, **moves, dynamics="annealed, true score")["shares"]
    alone = score_field.langevin(silent, nothing, **moves, dynamics="smallest noise alone")["shares"]
    assert np.abs(annealed - score_field.WEIGHTS).max() < 0.05 < np.abs(alone - score_field.WEIGHTS).max()


def test_a_model_that_was_trained_elsewhere_is_taken(tmp_path):
    config = {
        "schedule": {"kind": "vp-linear"}, "parameterization": "v", "sigma_data": 1.0, "learned_variance": False
    }  # fmt: skip
    mlp.save(tmp_path / "net", mlp.MLP(width=16), config)
    model = point_clouds.PointModel.named(str(tmp_path / "net"))
    taken = point_clouds.trained_network(point_clouds.trained_before(silent, model))
    x = torch.randn(3, 2)
    t = torch.tensor(0.5)
    assert torch.equal(point_clouds.alone(taken, 3)(x, t).x0, point_clouds.alone(model.load(), 3)(x, t).x0)
    page = study.run("swiss-roll", model=model.name, out=tmp_path / "out", settings=QUICK["swiss-roll"], progress=False)
    assert f"--model {model.name}" in page.read_text()
    with pytest.raises(BadInput, match="no readable network of points"):
        study.run("swiss-roll", model=str(tmp_path), progress=False)
