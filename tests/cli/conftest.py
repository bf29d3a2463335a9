from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import warm
from PIL import Image


class Done(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A fresh folder to work in and an empty store."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SFUMATO_DEBUG", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def cli(capfd):
    """The command line in this process: cli("generate", "a boat") -> status, stdout, stderr."""

    def call(*arguments: object) -> Done:
        from sfumato.cli import main

        capfd.readouterr()
        with warnings.catch_warnings(), pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        return Done(int(left.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture
def process():
    """The command line in a process of its own."""

    def call(*arguments: object) -> Done:
        done = warm.run("-m", "sfumato", *arguments)
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def model(tiny_model) -> Path:
    """A model of random weights for pictures of 32 x 32."""
    return tiny_model


@pytest.fixture
def sketch(home) -> Path:
    """A 32 x 32 picture."""
    y, x = np.mgrid[:32, :32]
    array = np.stack([x * 8, y * 8, (x + y) * 4], -1).astype(np.uint8)
    Image.fromarray(array).save(home / "sketch.png")
    return home / "sketch.png"
