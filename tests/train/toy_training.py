"""A task that trains in a blink, for tests of the loop; run as a script it is a training process to kill."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sfumato.train import checkpoint
from sfumato.train import recipe as r
from sfumato.train.loop import Loop
from sfumato.train.machine import accelerator
from sfumato.train.task import Task
from sfumato.train.tasks.judge import JudgeRecipe


class Toy(Task):
    """Denoises points of a spiral; `poison` is the step whose loss is not a number."""

    def __init__(self, poison: int | None = None, pause: float = 0.0):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Dropout(0.1), nn.Linear(16, 2))
        turn = torch.linspace(0, 6, 50)
        self.points = torch.stack([turn.cos(), turn.sin()], 1) * turn[:, None] / 6
        self.poison, self.pause = poison, pause

    def __len__(self) -> int:
        return len(self.points)

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator):
        time.sleep(self.pause)
        x = self.points[torch.as_tensor(indices)]
        loss = (self.network(x + 0.1 * torch.randn(x.shape, generator=generator)) - x).square().mean()
        return (loss * float("nan") if step == self.poison else loss), {}

    def grids(self) -> dict[str, np.ndarray]:
        return {"square": np.zeros((4, 4, 3), np.uint8)}

    def finish(self, export: Path) -> dict[str, float]:
        export.mkdir(exist_ok=True)
        torch.save(self.network.state_dict(), export / "toy.pt")
        return {"loss": float((self.network(self.points) - self.points).square().mean())}


def recipe(**changes: object) -> JudgeRecipe:
    values: dict[str, object] = {"task": "judge", "name": "toy", "batch": 8, "steps": 60, "precision": "float32"}
    values |= {"threads": 1, "every": {"log": 5, "sample": 1000, "save": 4}, "ema": {"decay": 0.9}}
    made = r.validate({**values, **changes})
    assert isinstance(made, JudgeRecipe)
    return made


def loop(folder: Path, task: Toy | None = None, **changes: object) -> Loop:
    folder.mkdir(parents=True, exist_ok=True)
    made = recipe(**changes)
    return Loop(made, task or Toy(), folder, accelerator(made))


def last(folder: Path) -> checkpoint.State:
    path = checkpoint.newest(folder / "checkpoints")
    assert path is not None
    return checkpoint.read(path)


if __name__ == "__main__":
    run = loop(Path(sys.argv[1]), Toy(pause=float(sys.argv[2])))
    run.restore()
    print("begins", run.step, flush=True)
    run.run()
    weights = b"".join(w.detach().numpy().tobytes() for w in run.network.parameters())
    os.write(1, f"weights {hashlib.sha256(weights).hexdigest()}\n".encode())  # a whole line, whoever else writes
    os._exit(0)  # gloo's threads may abort an interpreter that is being taken down; what is tested is done
