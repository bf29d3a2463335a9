"""A small personalization: what it is asked and its task; and one to kill, toy_personalize.py FOLDER OVERRIDES..."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from sfumato import train
from sfumato.train.recipe import load
from sfumato.train.task import TASKS, Place

SIZE = 32


def asked(model: Path, photos: Path, *more: str) -> list[str]:
    return [
        f"model={model}", f"data.path={photos}", "subject=zwx boat", "kind=boat", f"size={SIZE}", "batch=3",
        "preview={prompts: ['a {}'], each: 1, steps: 2}", "every={log: 1, sample: 1000, save: 2}", "threads=1", *more,
    ]  # fmt: skip


def task(folder: Path, model: Path, photos: Path, *more: str) -> Any:
    recipe = load("personalize", asked(model, photos, *more))
    torch.manual_seed(0)
    return TASKS["personalize"](recipe, Place(folder / "run", folder / "cache"))


if __name__ == "__main__":
    train.run("personalize", out=Path(sys.argv[1]), overrides=sys.argv[2:])
