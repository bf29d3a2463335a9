"""Tasks by name: a stranger's is one class, usable in a YAML recipe by its name and unknown again when removed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from toy_training import Toy

from sfumato import train
from sfumato.element.section import Positive
from sfumato.picture import BadInput
from sfumato.train import recipe as r
from sfumato.train.hyperparameters import Common
from sfumato.train.task import TASKS, register


class SpiralRecipe(Common):
    task: Literal["spiral"]
    turns: Positive = 2


class Spiral(Toy):
    section = SpiralRecipe

    def __init__(self, recipe, place):
        super().__init__()
        self.recipe = recipe

    def finish(self, export: Path) -> dict[str, float]:
        return {**super().finish(export), "turns": self.recipe.turns}


def test_a_strangers_task_runs_by_its_name_in_yaml_and_is_unknown_when_removed(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("task: spiral\nturns: 5\nsteps: 2\nbatch: 4\nprecision: float32\nthreads: 1\n")
    with pytest.raises(BadInput, match="task must be one of 'autoencoder'"):
        r.load(path)
    register(Spiral)
    try:
        train.run(path, out=tmp_path / "run")
        assert '"turns": 5' in (tmp_path / "run" / "figures.json").read_text()
        assert torch.load(tmp_path / "run" / "export" / "toy.pt")
        with pytest.raises(BadInput, match="unknown key 'turn': did you mean 'turns'"):
            r.load(path, ["turn=3"])
        with pytest.raises(BadInput, match=r"'points', 'spiral', .*'text-pixels'$"):
            r.load(path, ["task=x"])
    finally:
        TASKS.remove("spiral")
    with pytest.raises(BadInput, match="task must be one of"):
        r.load(path)


def test_every_built_in_task_has_a_recipe_of_its_name():
    assert set(TASKS) >= {r.load(name).task for name in r.shipped()} | {"inpaint", "text-pixels"}
    for name, task in TASKS.items():
        assert name in repr(task.section.model_fields["task"].annotation)
