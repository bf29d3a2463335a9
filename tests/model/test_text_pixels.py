"""A model of pixels that reads words and sees patches: its network, its folder, and training it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from random_model import TINY, build
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

import sfumato
from sfumato import train
from sfumato.condition import Condition, Text
from sfumato.edit import Outside
from sfumato.network import UNetBackbone
from sfumato.picture import BadInput
from sfumato.train import recipe as r


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("patches") / "model", "x0", TINY, patch=4)


@pytest.fixture(scope="module")
def pipe(folder: Path) -> sfumato.Pipe:
    return sfumato.load(folder)


def test_the_network_sees_a_cell_of_every_patch(folder: Path):
    """A patch of 2 x 2 pixels is four times the channels: the same network, called by hand."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(1)
    network: Any = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    x, t, embeds = torch.randn(2, 3, 32, 32), torch.tensor([400.0, 20.0]), torch.randn(2, 5, TINY.text)
    with torch.no_grad():
        seen = UNetBackbone(network, patch=4)(x, t, Condition((Text(embeds),)))
        by_hand = pixel_shuffle(network(pixel_unshuffle(x, 4), t, embeds).sample, 4)
    assert torch.equal(seen, by_hand)
    cells = x.reshape(2, 3, 8, 4, 8, 4).permute(0, 1, 3, 5, 2, 4).reshape(2, 48, 8, 8)
    assert torch.equal(pixel_unshuffle(x, 4), cells)


def test_the_pixels_outside_a_mask_stay_without_any_composite(pipe: sfumato.Pipe):
    """To the pixel, though the network's cells are four pixels wide: nothing is encoded."""
    dice = np.random.default_rng(3)
    picture = Image.fromarray(dice.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    mask = Image.new("L", (32, 32))
    ImageDraw.Draw(mask).rectangle((5, 6, 18, 21), fill=255)
    out = pipe("a boat", hold=Outside(mask, picture), steps=3, composite="none").image
    kept = np.asarray(mask) == 0
    assert np.array_equal(np.asarray(out)[kept], np.asarray(picture)[kept])
    assert not np.array_equal(np.asarray(out)[~kept], np.asarray(picture)[~kept])


def test_sizes_are_multiples_of_patches(pipe: sfumato.Pipe):
    assert (pipe.size, pipe.multiple, pipe.stage.space.factor) == ((32, 32), 4, 1)
    assert pipe("a boat", steps=1, width=40, height=24).image.size == (40, 24)
    assert pipe("a boat", steps=1, width=36, height=44).image.size == (36, 44)


@pytest.mark.parametrize("side", [0, "4", True, 3.5, None, 1000])
def test_a_folder_that_names_no_patch_is_refused(folder: Path, tmp_path: Path, side: object):
    import shutil

    shutil.copytree(folder, tmp_path / "broken")
    (tmp_path / "broken" / "patches" / "config.json").write_text(json.dumps({"side": side}))
    with pytest.raises(BadInput, match="must say the side of a patch, from 1 to 64"):
        sfumato.load(tmp_path / "broken")


def test_a_network_of_other_patches_is_refused(folder: Path, tmp_path: Path):
    import shutil

    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "patches" / "config.json").write_text(json.dumps({"side": 2}))
    with pytest.raises(BadInput, match="takes 12 channels; accepted are 3"):
        sfumato.load(tmp_path / "other")


def test_it_learns_from_a_begun_network_and_comes_back_as_it_was_trained(tiny_model: Path, tmp_path: Path):
    """Two scenes that words tell apart, learnt from the ends up: the U-Net between them was one of latents."""
    (tmp_path / "data").mkdir()
    lines = []
    for i, (name, colour) in enumerate({"a red boat": (220, 30, 30), "a blue house": (30, 40, 220)}.items()):
        for k in range(12):
            shade = tuple(min(c + 3 * k, 255) for c in colour)
            Image.new("RGB", (32, 32), shade).save(tmp_path / "data" / f"{i}-{k}.png")
            lines.append(json.dumps({"file_name": f"{i}-{k}.png", "text": name}))
    (tmp_path / "data" / "metadata.jsonl").write_text("\n".join(lines))
    values = {
        "task": "text-pixels",
        "name": "tiny",
        "data": {"kind": "folder", "path": str(tmp_path / "data"), "size": 32},
        "text_encoder": str(tiny_model),
        "begin": str(tiny_model),
        "patch": 4,
        "network": {"channels": [32, 64], "attention": [False, True], "heads": [2, 4], "layers": 1, "groups": 8},
        "objective": {"parameterization": "x0"},
        "paraphrases": 1,
        "batch": 8,
        "steps": 60,
        "threads": 1,
        "precision": "float32",
        "optimizer": {"lr": 3e-3, "warmup": 5},
        "ema": {"decay": 0.9},
        "every": {"sample": 60},
        "workers": 1,
        "export": "float32",
        "preview": {"prompts": ["a red boat"], "each": 1, "steps": 2},
    }
    recipe = r.validate(values)
    (tmp_path / "tiny.yaml").write_text(r.resolved(recipe))
    train.run(tmp_path / "tiny.yaml", out=tmp_path / "run")
    export = tmp_path / "run" / "export"
    assert "vae" not in json.loads((export / "model_index.json").read_text())
    pipe = sfumato.load(export)
    red, blue = (
        np.asarray(pipe(words, steps=8, seed=1).image).mean((0, 1)) for words in ("a red boat", "a blue house")
    )
    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 60


def test_patches_must_fit():
    with pytest.raises(BadInput, match="choose a multiple of 16"):
        r.validate({"task": "text-pixels", "data": {"size": 40}})
