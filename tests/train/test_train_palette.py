"""Pictures to pictures: how they are made worse, and a network that learns to mend them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sfumato
from sfumato import train
from sfumato.condition import Condition
from sfumato.edit import Outside, Source
from sfumato.picture import BadInput
from sfumato.train import recipe as r
from sfumato.train.degraded import BORDER, border, degraded, jpeg
from sfumato.train.task import Place
from sfumato.train.tasks.palette import PaletteTask

SIZE = 8


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """Pictures whose colour is told by their shape: orange on the left, or blue below."""
    dice = np.random.default_rng(0)
    x = np.full((160, SIZE, SIZE, 3), 30, np.uint8)
    x[:80, :, :4] = (230, 130, 20)
    x[80:, 4:] = (40, 110, 240)
    return (x + dice.integers(0, 12, x.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def mender(drawn: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> sfumato.Pipe:
    """A network of the four tasks, trained for a few seconds."""
    home = tmp_path_factory.mktemp("palette")
    np.savez(home / "shapes.npz", x=drawn, y=np.arange(160) // 80)
    values: dict[str, Any] = {
        "task": "palette",
        "name": "tiny",
        "data": {"kind": "arrays", "path": str(home / "shapes.npz"), "size": SIZE},
        "mirror": False,
        "network": {"channels": [16, 32], "attention": [False, False], "groups": 8},
        "batch": 24,
        "steps": 130,
        "threads": 1,
        "precision": "float32",
        "optimizer": {"lr": 4e-3, "warmup": 10},
        "ema": {"decay": 0.95},
        "every": {"sample": 130},
        "workers": 1,
        "export": "float32",
        "preview": {"count": 1, "steps": 2},
    }
    (home / "tiny.yaml").write_text(r.resolved(r.validate(values)))
    train.run(home / "tiny.yaml", out=home / "run")
    return sfumato.load(home / "run" / "export")


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_what_it_paints_outside_the_hole_costs_nothing(tmp_path: Path):
    """Of plain pictures all that it sees as it is lies outside the hole."""
    np.savez(tmp_path / "plain.npz", x=np.full((8, SIZE, SIZE, 3), 51, np.uint8), y=np.arange(8) % 2)
    values = {"task": "palette", "data": {"kind": "arrays", "path": tmp_path / "plain.npz", "size": SIZE}}
    values |= {
        "network": {"channels": [16, 16], "attention": [False, False], "head": 16},
        "tasks": ["inpaint", "uncrop"],
    }
    task = PaletteTask(r.validate(values), Place(tmp_path, tmp_path))
    outside = []

    def answer(x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        y = condition.parts[0].planes  # pyright: ignore[reportAttributeAccessIssue]
        outside.append((y == y.new_tensor(51 / 127.5 - 1)).float())
        return 1000 * outside[-1]

    task.denoiser.output = answer
    loss, _ = task(np.arange(7), 0, torch.Generator().manual_seed(0))
    assert 0.1 < float(outside[0].mean()) < 0.9
    assert float(loss) < 10


def test_colours_come_back_from_the_shape_alone(mender: sfumato.Pipe, drawn: np.ndarray):
    for index in (3, 100):
        true = Image.fromarray(drawn[index])
        grey = true.convert("L").convert("RGB")
        out = mender(source=Source(grey, "colourise"), steps=10, seed=index).image
        assert np.abs(array(out) - array(true)).mean() < 0.5 * np.abs(array(grey) - array(true)).mean()


def test_a_hole_is_filled_and_the_rest_stays_to_the_byte(mender: sfumato.Pipe, drawn: np.ndarray):
    true, hole = Image.fromarray(drawn[5]), Image.new("L", (SIZE, SIZE))
    hole.paste(255, (0, 0, SIZE, 3))
    out = mender(source=Source(true, "inpaint"), hold=Outside(hole), steps=10, seed=2).image
    assert array(out)[3:].tolist() == array(true)[3:].tolist()
    assert np.abs(array(out)[:3] - array(true)[:3]).mean() < 40


def test_blocks_of_jpeg_are_mended(mender: sfumato.Pipe, drawn: np.ndarray):
    errors = []
    for index in (7, 120):
        true = Image.fromarray(drawn[index])
        buffer = io.BytesIO()
        true.save(buffer, "JPEG", quality=6)
        bad = Image.open(buffer).convert("RGB")
        out = mender(source=Source(bad, "restore"), steps=10, seed=1).image
        errors.append((np.abs(array(out) - array(true)).mean(), np.abs(array(bad) - array(true)).mean()))
    assert np.mean([mine for mine, _ in errors]) < np.mean([theirs for _, theirs in errors])


def test_the_recipe_comes_back_and_draws_the_same(mender: sfumato.Pipe, drawn: np.ndarray, tmp_path: Path):
    result = mender(source=Source(Image.fromarray(drawn[0]), "restore"), steps=3, seed=4)
    result.save(tmp_path / "a.png")
    again = sfumato.Recipe.from_json(result.recipe.to_json())
    assert again.source == result.recipe.source
    assert array(mender.run(again).image).tolist() == array(result.image).tolist()


def test_what_it_can_t_do_is_said(mender: sfumato.Pipe, drawn: np.ndarray, tiny_model: Path):
    picture = Image.fromarray(drawn[0])
    with pytest.raises(BadInput, match="mends a picture: say which and how, colourise or inpaint or uncrop or restore"):
        mender(steps=2)
    with pytest.raises(BadInput, match="give a mask"):
        mender(source=Source(picture, "inpaint"), steps=2)
    with pytest.raises(BadInput, match="can't restore a picture: it is shown none"):
        sfumato.load(tiny_model)("a cat", source=Source(picture), steps=2)


def test_a_picture_is_made_worse_in_one_way_for_one_key():
    pictures = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1
    tasks = ["colourise", "inpaint", "uncrop", "restore"]
    (once, where), (twice, _), (other, _) = (degraded(pictures, tasks, (5, 30), key) for key in ("a", "a", "b"))
    assert torch.equal(once, twice)
    assert not torch.equal(once[1:], other[1:])
    assert torch.equal(once[0], other[0])
    kept = (once == pictures).all(1, keepdim=True)
    assert 0.1 < kept[1].float().mean() < 1
    assert torch.equal(kept[1:3], where[1:3] == 0)
    assert where[[0, 3]].eq(1).all()


def test_jpeg_is_pillows():
    picture = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1
    buffer = io.BytesIO()
    pixels = ((picture + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=9)
    true = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1) / 127.5 - 1
    assert torch.allclose(jpeg(picture, 9), true.float(), atol=1e-6)


def test_a_border_leaves_more_than_half_a_side():
    for seed in range(40):
        mask = border(seed, 20)
        assert mask.any()
        rows, columns = (~mask).any(1).sum(), (~mask).any(0).sum()
        assert min(rows, columns) >= 20 * (1 - BORDER[1]) - 2
        assert (~mask).sum() == rows * columns
