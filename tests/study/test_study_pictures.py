"""Studies of pictures, on models of random weights: what their measures measure, and that they run from end to end."""

import numpy as np
import pytest

from sfumato import study
from sfumato.study import interpolate, progressive

TINY = {
    "progressive": ["subjects=2", "steps=5", "endings=2"],
    "interpolate": ["times=[0.4, 1]", "steps=2", "places=3", "deep=1"],
}


@pytest.mark.parametrize("name", TINY)
def test_runs_from_end_to_end_and_again_without_work(tmp_path, tiny_model, name, monkeypatch):
    page = study.run(name, model=str(tiny_model), out=tmp_path, settings=TINY[name], progress=False)
    table = (tmp_path / "table.csv").read_bytes()
    assert page.read_text().count("<figure>") == len(list(tmp_path.glob("*.png"))) == 3
    monkeypatch.setattr("sfumato.model.load", None)  # nothing is painted again, nor is the model loaded
    study.run(name, model=str(tiny_model), out=tmp_path, settings=TINY[name], progress=False)
    assert (tmp_path / "table.csv").read_bytes() == table


@pytest.mark.parametrize("name", TINY)
def test_models_of_classes_are_looked_at_too(tmp_path, pixel_model, name):
    page = study.run(name, model=str(pixel_model(channels=1)), out=tmp_path, settings=TINY[name], progress=False)
    assert "boat" in page.read_text() or "Tree" in page.read_text()


def test_a_distance_knows_which_band_it_lies_in():
    y, x = np.mgrid[:32, :32]
    picture = np.stack([128 + 50 * np.sin(2 * np.pi * x / 32) + 20 * np.cos(np.pi * y)] * 3, -1)
    layout = picture - 50 * np.sin(2 * np.pi * x / 32)[..., None]
    found = progressive.distances(layout, picture)
    assert found[0] == pytest.approx(50 / np.sqrt(2))
    assert found[1] == pytest.approx(1)
    assert found[2:] == pytest.approx([0, 0], abs=1e-9)
    assert progressive.distances(picture, picture) == pytest.approx([0, 0, 0, 0])
    assert progressive.distances(picture + 9, picture)[0] == pytest.approx(9)


def test_a_start_is_left_at_the_times_that_are_asked_for(tiny_model):
    """Going on from x_t with the walk's own noise gives its own picture; the frozen x are on the walk."""
    from sfumato.study.study import Model

    found = progressive.walk_and_freeze(lambda *_: None, Model.named(str(tiny_model)), 5, 1.0, 0)
    assert {name for name in found if name.startswith("x at")} == {f"x at {t:g}" for t in progressive.FROZEN}
    first, second = (found[f"x at {t:g}"] for t in (1.0, 0.8))
    assert first.std() == pytest.approx(1, abs=0.1)
    assert not np.allclose(first, second)


def test_contrast_is_the_length_of_the_gradient():
    ramp = np.broadcast_to(np.arange(16)[:, None, None] * 3, (16, 16, 3)).astype(np.uint8)
    assert interpolate.edge_strength(ramp) == pytest.approx(3)
    assert interpolate.edge_strength(np.full((8, 8, 3), 7, np.uint8)) == 0


def test_one_noise_keeps_its_size_at_every_place(tiny_model):
    """Halfway between two pictures with one noise at t = 1 stands that noise; with two noises, half their variance."""
    from sfumato.study.study import Model

    def size(mixing):
        arguments = {"first": 14, "second": 3, "places": 3, "steps": 1, "guidance": 1.0, "t": 1.0, "mixing": mixing}
        found = interpolate.between(lambda *_: None, Model.named(str(tiny_model)), **arguments)
        return found["size"][1] / found["size"][[0, 2]].mean()

    shared, own, sphere, _ = (size(mixing) for mixing in interpolate.MIXES)
    assert shared == pytest.approx(1, abs=0.02)
    assert own == pytest.approx(0.5**0.5, abs=0.08)
    assert sphere == pytest.approx(1, abs=0.06)
