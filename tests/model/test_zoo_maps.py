"""The built-in networks of maps read pictures that they never saw, about as well as their model cards say."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.control import ControlMap
from sfumato.data import vignettes
from sfumato.evaluate.adherence import Drawn
from sfumato.evaluate.map_metric import metrics_of
from sfumato.zoo import ZOO

LEAST: dict[str, dict[str, float]] = {  # of an error the most
    "softedge": {"edge-f1": 0.75, "edge-f1-2": 0.8},
    "lineart": {"edge-f1": 0.8, "edge-f1-2": 0.85},
    "depth": {"depth-rank": 0.8, "depth-error": 0.25},
    "normal": {"normal-angle": 9.0},
    "openpose": {"pck": 0.9},
    "segmentation": {"miou": 0.25},
}


@pytest.fixture(scope="module")
def unseen() -> list[Drawn]:
    return [Drawn.of(vignettes.scene(2_000_003, i, "any"), 64) for i in range(20)]


@pytest.mark.parametrize("name", LEAST)
def test_unseen_pictures_are_read(name: str, unseen: list[Drawn]):
    kind = ControlMap.registry.named(name)
    truth = [kind.truth(each) for each in unseen]
    found = [kind.read(each.picture) for each in unseen]
    for key, metric in metrics_of(kind.shows).items():
        value = metric.value(np.sum([metric.count(f, t) for f, t in zip(found, truth, strict=True)], 0))
        assert (value >= LEAST[name][key]) if metric.better == "higher" else (value <= LEAST[name][key]), (key, value)


@pytest.mark.parametrize("folder", ["edges", "depth", "normal", "keypoints", "segmentation"])
def test_they_are_small_and_have_a_card(folder: str):
    assert (ZOO / folder / "model.safetensors").stat().st_size < 1 << 20
    assert f"sfumato train {folder}" in (ZOO / folder / "README.md").read_text()
