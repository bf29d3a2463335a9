"""What is drawn in a cell says how much it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from random_model import TINY, build

from sfumato.data import vignettes
from sfumato.data.vignette_focus import PIXELS, cell_counts
from sfumato.data.world import Vignettes
from sfumato.picture import BadInput
from sfumato.train import recipe as r
from sfumato.train.task import Place
from sfumato.train.tasks.diffusion import DiffusionTask

RECIPE = """
task: diffusion
data: {kind: vignettes, count: 12, size: 32, focus: {skin: 5, sky: 0}}
autoencoder: MODEL
text_encoder: MODEL
begin: MODEL
batch: 4
steps: 2
preview: {each: 1, steps: 1}
precision: float32
threads: 1
workers: 1
"""


def test_a_cell_counts_by_its_share_of_things(tmp_path: Path):
    data = Vignettes(count=6, size=32, focus={"skin": 5.0, "sky": 0.0})
    counts = cell_counts(data, 8, "key", tmp_path)
    assert counts is not None
    assert counts.shape == (6, 8, 8)
    names = vignettes.SEMANTIC_NAMES
    for index in range(6):
        things = vignettes.draw(vignettes.scene(data.seed, index, data.split), 8 * PIXELS).semantic
        for row, column in ((0, 0), (3, 4), (7, 2)):
            cell = things[row * PIXELS : (row + 1) * PIXELS, column * PIXELS : (column + 1) * PIXELS]
            skin, sky = (float((cell == names.index(name)).mean()) for name in ("skin", "sky"))
            assert counts[index, row, column] == pytest.approx(1 + 4 * skin - sky, abs=1e-3)
    assert (counts > 1.5).any()
    assert cell_counts(Vignettes(count=6, size=32), 8, "key", tmp_path) is None


def test_what_is_no_thing_is_refused(tmp_path: Path):
    (tmp_path / "wrong.yaml").write_text(RECIPE.replace("skin", "spectacles"))
    with pytest.raises(BadInput, match="focus: there is no 'spectacles'; accepted are void, sky"):
        r.load(tmp_path / "wrong.yaml")


def test_a_loss_is_the_mean_over_cells_as_they_count(tmp_path: Path):
    """And the pictures that are kept are those without."""
    build(tmp_path / "model", shape=TINY)
    recipe = RECIPE.replace("MODEL", str(tmp_path / "model"))
    rows, losses = np.arange(4), []
    for name, said in (("with", "focus: {skin: 5, sky: 0}"), ("without", "focus: {}")):
        (tmp_path / f"{name}.yaml").write_text(recipe.replace("focus: {skin: 5, sky: 0}", said))
        task = DiffusionTask(r.load(tmp_path / f"{name}.yaml"), Place(tmp_path / name, tmp_path / "cache"))
        counts = task.counts(rows)
        assert (counts is None) == (name == "without")
        with torch.no_grad():
            losses.append(float(task.forward(rows, 0, torch.Generator().manual_seed(1))[0]))
            if counts is not None:
                assert counts.shape == (4, 1, *task.shape[1:])
                task.cells = np.ones_like(task.cells)
                losses.append(float(task.forward(rows, 0, torch.Generator().manual_seed(1))[0]))
    focused, even, plain = losses
    assert even == pytest.approx(plain)
    assert focused != pytest.approx(plain)
    assert len(list((tmp_path / "cache").glob("vignettes-*"))) == 2  # to train on, and held back
