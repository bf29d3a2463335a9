"""The README, run as a stranger would: its Python, its commands, its pictures."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import warm
from PIL import Image

from sfumato.zoo import ZOO

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ZOO / "mini" / "model_index.json").is_file(), reason="mini is not in this checkout"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


def sfumato(place: Path, line: str, fresh: bool = False) -> subprocess.CompletedProcess[str]:
    """`sfumato LINE` in a process of its own; `fresh` as it is installed, which takes its time to import."""
    if fresh:
        script = Path(sys.executable).parent / "sfumato"
        asked = [script, *shlex.split(line)]
        done = subprocess.run(asked, cwd=place, capture_output=True, text=True, timeout=280)
    else:
        done = warm.run("-m", "sfumato", *shlex.split(line), cwd=place)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


FEW = """
import sfumato
recipes = sfumato.Pipe.recipes
sfumato.Pipe.recipes = lambda pipe, *said, **options: recipes(pipe, *said, **{**options, "steps": 4})
"""
"""What a program begins with whose pictures need only be pictures: they take 4 steps, whatever it asks for."""


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_python_of_the_readme_runs_and_keeps_its_promises(place: Path):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1
    script = place / "readme.py"
    script.write_text(FEW + blocks[0], encoding="utf-8")
    done = warm.run(str(script), cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split()[0] == done.stdout.splitlines()[-1].split()[-1]
    painting, edited = pixels(place / "painting.png"), pixels(place / "edited.webp")
    assert (edited[: len(edited) // 2] == painting[: len(edited) // 2]).all()
    assert np.abs(edited - painting)[len(edited) // 2 :].max() > 20
    assert all((place / f"boats-{i}.png").is_file() for i in range(4))


def test_every_command_of_the_readme_is_a_command(place: Path):
    lines = re.findall(r"^    sfumato (.+)$", README, re.MULTILINE)
    assert len(lines) >= 6
    helped = sfumato(place, "--help", fresh=True).stdout
    for line in lines:
        assert shlex.split(line)[0] in helped


def test_the_same_command_gives_the_same_pixels_and_redo_gives_them_again(place: Path):
    line = 'edit examples/sketch.png "a painting of a woman in a red jacket" --strength 0.6 --steps 5 --seed 7 -o {}'
    for name in ("a.png", "again.png"):
        sfumato(place, line.format(name), fresh=name == "a.png")
    assert (pixels(place / "a.png") == pixels(place / "again.png")).all()
    redone = sfumato(place, "redo a.png -o b.png")
    assert "identical" in redone.stdout + redone.stderr
    assert (pixels(place / "a.png") == pixels(place / "b.png")).all()


def test_several_pictures_have_seeds_in_order_and_each_is_the_picture_of_its_seed(place: Path):
    line = 'edit examples/sketch.png "a painting of a woman in a red jacket" --engine exact --steps 4'
    told = json.loads(sfumato(place, f"{line} --seed 7 --count 4 -o g.png --json").stdout)
    assert [p["seed"] for p in told["pictures"]] == [7, 8, 9, 10]
    sfumato(place, f"{line} --seed 10 -o alone.png")
    assert (pixels(place / "g-3.png") == pixels(place / "alone.png")).all()
    assert (place / "g-sheet.png").is_file()


@pytest.mark.parametrize("name", ["demo", "edits"])
def test_an_example_draws_its_plate(place: Path, name: str):
    done = warm.run(f"examples/{name}.py", "--steps", 2, cwd=place)
    assert done.returncode == 0, done.stderr
    plate = Image.open(place / "out" / f"{name}.png")
    assert plate.width > 1000
    assert plate.height > 400
    assert np.asarray(plate).std() > 20


def test_the_pictures_that_the_readme_shows_are_there():
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert shown
    for path in shown:
        Image.open(ROOT / path).verify()
    for link in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / link).exists(), link
