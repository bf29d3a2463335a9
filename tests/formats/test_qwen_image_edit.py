"""Qwen-Image-Edit beside stock diffusers: what it is told and shown, and what a mask keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stock import qwen_image_edit
from stock.edits import array, half, photo
from typer.testing import CliRunner

import sfumato
from sfumato.cli.app import app
from sfumato.formats import capabilities_of
from sfumato.picture import BadInput

WIDTH, HEIGHT = SIZE = qwen_image_edit.SIZE


@pytest.fixture(scope="module", autouse=True)
def _small():
    patch = pytest.MonkeyPatch()
    qwen_image_edit.small(patch, 64 * 64)
    yield
    patch.undo()


@pytest.fixture(scope="module", params=["one picture", "several"])
def both(request, tmp_path_factory) -> tuple[Any, Path]:
    pipeline = qwen_image_edit.build(request.param == "several")
    pipeline.set_progress_bar_config(disable=True)
    folder = tmp_path_factory.mktemp("edit")
    pipeline.save_pretrained(folder)
    return pipeline, folder


def test_pictures_are_those_of_the_stock_pipeline(both):
    stock, folder = both
    assert qwen_image_edit.parity(stock, sfumato.load(folder)) < 1e-3


def test_the_photo_and_the_words_show(both):
    _, folder = both
    pipe = sfumato.load(folder)
    assert capabilities_of(folder) == pipe.capabilities
    options = {"width": WIDTH, "height": HEIGHT, "steps": 2}
    made = [
        array(pipe(words, images=shown, **options).image)
        for words in ("make it red", "make it blue, and a boat")
        for shown in ([photo(SIZE, 1)], [photo(SIZE, 2)], [])
    ]
    for n, one in enumerate(made):
        assert all((one != other).any() for other in made[:n])


def test_more_pictures_than_it_looks_at_are_refused(both):
    pipe = sfumato.load(both[1])
    most = pipe.capabilities.references
    with pytest.raises(BadInput, match=f"looks at at most {most}"):
        pipe("make it red", images=[photo(SIZE, n) for n in range(most + 1)], width=WIDTH, height=HEIGHT)


def test_the_command_line_edits_as_it_is_told_and_a_mask_keeps_the_rest_to_the_byte(both, tmp_path):
    picture, mask = photo(SIZE), half(SIZE)
    picture.save(tmp_path / "photo.png")
    mask.save(tmp_path / "mask.png")
    asked = ["edit", str(tmp_path / "photo.png"), "make the hat red", "--model", str(both[1])]
    asked += ["--size", f"{WIDTH}x{HEIGHT}", "--steps", "2", "--seed", "1"]
    for more, name in (([], "whole.png"), (["--mask", str(tmp_path / "mask.png")], "part.png")):
        ran = CliRunner().invoke(app, [*asked, *more, "--output", str(tmp_path / name)])
        assert ran.exit_code == 0, ran.output
    whole, part = (array(Image.open(tmp_path / name)) for name in ("whole.png", "part.png"))
    left = slice(0, WIDTH // 2)
    assert (part[:, left] == array(picture)[:, left]).all()
    assert (part[:, WIDTH // 2 :] != array(picture)[:, WIDTH // 2 :]).any()
    assert (whole[:, left] != array(picture)[:, left]).any()
