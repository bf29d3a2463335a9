"""FLUX.1 Kontext: the picture that it looks at, and edits by instruction, held outside a mask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
from PIL import Image
from stock import flux_kontext as kontext
from stock.compare import Both, error, ran, shown, stock

from sfumato import Outside, SDEdit
from sfumato.encode.reference_latents import of_area
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree, Distilled
from sfumato.picture import BadInput

PROMPT, NEGATIVE = "make the hat red", "a boat"
WIDTH, HEIGHT = kontext.SIZE
SIZE: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(kontext.build(), tmp_path_factory.mktemp("kontext") / "model")


def painted(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def white(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : -5, 6 : width // 2] = 255
    return Image.fromarray(mask)


@pytest.mark.parametrize("true", [1.0, 2.0])
def test_the_latents_are_those_of_stock_diffusers(model: Both, true: float):
    guidance = [Distilled(2.5), *([ClassifierFree(true)] if true != 1 else [])]
    asked: dict[str, Any] = {"images": [painted()], "guidance": guidance, "negative": NEGATIVE, "steps": 4, **SIZE}
    start, end = ran(model.pipe, PROMPT, seed=3, **asked)
    cells = (WIDTH // 4) * (HEIGHT // 4)
    assert start.shape[1] == 2 * cells

    def theirs(picture: Image.Image | None) -> torch.Tensor:
        return stock(
            model.stock, picture, PROMPT, negative_prompt=NEGATIVE, true_cfg_scale=true, num_inference_steps=4,
            latents=start[:, :cells], **kontext.CALL, **SIZE,
        )  # fmt: skip

    assert kontext.parity(model.stock, model.pipe, true) < 1e-4
    assert error(shown(model.pipe, end), theirs(painted(seed=1))) > 1e-3, "what is looked at shows"


def test_without_a_picture_it_paints_from_words(model: Both):
    start, end = ran(model.pipe, PROMPT, steps=2, seed=3, **SIZE)
    theirs = stock(model.stock, None, PROMPT, num_inference_steps=2, latents=start, **kontext.CALL, **SIZE)
    assert error(shown(model.pipe, end), theirs) < 1e-4


def test_an_edit_by_instruction_is_held_outside_a_mask_to_the_byte(model: Both):
    picture, mask = painted(), white()
    held = np.asarray(model.pipe(PROMPT, images=[picture], hold=Outside(mask), steps=2, **SIZE).image)
    free = np.asarray(model.pipe(PROMPT, images=[picture], steps=2, **SIZE).image)
    outside = np.asarray(mask) == 0
    assert np.array_equal(held[outside], np.asarray(picture)[outside])
    assert not np.array_equal(held[~outside], np.asarray(picture)[~outside])
    assert not np.array_equal(free[outside], np.asarray(picture)[outside])


def test_a_picture_of_another_size_covers_as_many_pixels_as_the_run(model: Both):
    sized = of_area(16)
    same = painted(96, 64)
    assert sized(same, (96, 64)) is same
    assert sized(painted(400, 100), (256, 256)).size == (512, 128)
    assert sized(painted(3, 900), (64, 64)).size == (16, 1104)
    beside = {"images": [painted(100, 25)], "start": SDEdit(painted(), 1.0)}  # else it is what the run is about
    start, _ = ran(model.pipe, PROMPT, steps=1, **beside, **SIZE)
    assert start.shape[1] == (WIDTH // 4) * (HEIGHT // 4) + (56 // 4) * (12 // 4)


def test_one_picture_is_looked_at(model: Both):
    assert capabilities_of(model.folder) == model.pipe.capabilities
    assert model.pipe.stage.suits.guidance == (Distilled(2.5),)
    with pytest.raises(BadInput, match="2 reference pictures and looks at at most 1"):
        model.pipe(PROMPT, images=[painted(), painted()])


def test_the_command_line_edits_by_instruction_with_a_mask_and_without(model: Both, tmp_path: Path):
    painted().save(tmp_path / "photo.png")
    white().save(tmp_path / "mask.png")
    common = ["edit", "photo.png", PROMPT, "--model", str(model.folder), "--steps", "2", "--size", f"{WIDTH}x{HEIGHT}"]
    made = []
    for name, more in (("free.png", ["--json"]), ("held.png", ["--mask", "mask.png"])):
        done = warm.run("-m", "sfumato", *common, "--seed", "3", "-o", name, *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        made.append(np.asarray(Image.open(tmp_path / name).convert("RGB")))
        if "--json" in more:
            recipe = json.loads(done.stdout)["pictures"][0]["recipe"]
            assert (recipe["start"]["kind"], len(recipe["images"]), recipe["steps"]) == ("noise", 1, 2)
            assert recipe["guidance"] == [{"scale": 2.5, "kind": "distilled"}]
    picture, outside = np.asarray(painted()), np.asarray(white()) == 0
    assert np.array_equal(made[1][outside], picture[outside])
    assert not np.array_equal(made[0][outside], picture[outside])
    assert not np.array_equal(made[1][~outside], picture[~outside])
