"""The inpainting task: at step 0 the network that it begins from, shown masks of the pictures that it learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from random_model import TINY, build

import sfumato
from sfumato import train
from sfumato.data.folder import Folder
from sfumato.edit import Outside
from sfumato.encode.masked_picture import masked_planes
from sfumato.picture import BadInput
from sfumato.train import recipe as r
from sfumato.train.task import Place
from sfumato.train.tasks.diffusion import UNet, shape_of
from sfumato.train.tasks.inpaint import InpaintRecipe, InpaintTask, masks

RECIPE = """
task: inpaint
data: {kind: vignettes, count: 24, size: 32}
autoencoder: MODEL
text_encoder: MODEL
begin: MODEL
masks: {each: 2, everything: 0.25}
batch: 8
steps: 3
every: {log: 1}
preview: {count: 2, steps: 2}
precision: float32
threads: 1
workers: 1
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs")
    build(home / "model", shape=TINY)
    (home / "inpaint.yaml").write_text(RECIPE.replace("MODEL", str(home / "model")))
    train.run(home / "inpaint.yaml", out=home / "inpaint")
    return home


@pytest.fixture
def task(home: Path) -> InpaintTask:
    torch.manual_seed(0)
    recipe = r.load(home / "inpaint.yaml")
    assert isinstance(recipe, InpaintRecipe)
    return InpaintTask(recipe, Place(home / "inpaint", home / "cache"))


def test_at_step_0_it_is_the_network_that_it_began_from(home: Path, task: InpaintTask):
    from diffusers import UNet2DConditionModel

    first = UNet2DConditionModel.from_pretrained(home / "model" / "unet")
    x, t, text = torch.randn(2, 4, 16, 16), torch.tensor([100.0, 900.0]), torch.randn(2, 48, 64)
    planes = torch.from_numpy(np.array(task.planes[:2])).float()
    with torch.no_grad():
        wide = task.network(torch.cat([x, planes], 1), t, text).sample
        torch.testing.assert_close(wide, first(x, t, text).sample, rtol=1e-5, atol=1e-5)


def test_the_shape_is_that_of_what_it_begins_from_or_has_more_attention(home: Path, task: InpaintTask):
    """And with that it is still the network that it began from, at step 0."""
    recipe = r.load(home / "inpaint.yaml")
    assert recipe.network is None
    assert shape_of(home / "model" / "unet") == UNet(
        channels=(32, 64), attention=(False, True), heads=(2, 4), layers=1, groups=8
    )
    more = r.load(
        home / "inpaint.yaml",
        ["network={channels: [32, 64], attention: [true, true], heads: [2, 4], groups: 8}"],
    )
    wider = InpaintTask(more, Place(home / "inpaint", home / "cache"))
    x, t, text = torch.randn(2, 9, 16, 16), torch.tensor([100.0, 900.0]), torch.randn(2, 48, 64)
    assert wider.network.down_blocks[0].attentions
    with torch.no_grad():
        torch.testing.assert_close(wider.network(x, t, text).sample, task.network(x, t, text).sample)
    (home / "odd" / "unet").mkdir(parents=True)
    (home / "odd" / "unet" / "config.json").write_text(
        '{"block_out_channels": [7], "down_block_types": ["DownBlock2D"]}'
    )
    with pytest.raises(BadInput, match="none whose shape a recipe can say"):
        shape_of(home / "odd" / "unet")


def test_each_picture_is_kept_with_masks_of_its_own(task: InpaintTask):
    assert task.planes.shape == (48, 5, 16, 16)
    data = task.recipe.data
    hidden = masks(data, 32, 0, 2, range(5, 7))
    pictures = task.train_set.batch(np.array([5, 5, 6, 6]))
    expected = masked_planes(task.space, pictures, hidden)
    torch.testing.assert_close(torch.from_numpy(np.array(task.planes[10:14])).float(), expected, rtol=2e-3, atol=2e-3)
    assert len({mask.numpy().tobytes() for mask in hidden}) == 4
    assert torch.equal(masks(data, 32, 0, 2, range(6, 7)), hidden[2:])


def test_the_network_is_shown_one_of_the_masks_or_nothing(task: InpaintTask):
    seen = []
    task.network.forward = lambda x, *_, **__: (seen.append(x.clone()), (x[:, :4],))[1]
    rows = np.repeat(np.arange(24), 20)
    shown = torch.zeros(len(rows), dtype=torch.bool)
    answer = task.told(task.condition(rows, [0] * len(rows), shown, torch.Generator().manual_seed(1)))
    x = torch.randn(len(rows), 4, 16, 16)
    answer(x, torch.full((len(rows),), 0.5))
    assert torch.equal(seen[0][:, :4], x)
    planes = seen[0][:, 4:]
    nothing = (planes == task.blank).flatten(1).all(1)
    assert 0.18 < nothing.float().mean() < 0.32
    kept = torch.from_numpy(np.array(task.planes)).float()
    numbers = set()
    for row, given, blank in zip(rows, planes, nothing, strict=True):
        own = [k for k in range(2) if torch.equal(given, kept[2 * row + k])]
        assert own or blank
        numbers.update(own)
    assert numbers == {0, 1}
    assert bool((task.blank[:, 0] == 1).all())


def test_the_export_is_a_model_that_inpaints_here_and_in_stock_diffusers(home: Path):
    from diffusers import StableDiffusionInpaintPipeline

    export = home / "inpaint" / "export"
    index = json.loads((export / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionInpaintPipeline"
    assert StableDiffusionInpaintPipeline.from_pretrained(export).unet.config.in_channels == 9
    pipe = sfumato.load(str(export))
    picture, mask = Image.new("RGB", (32, 32), (200, 30, 30)), np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 255
    made = np.asarray(pipe("a boat", hold=Outside(Image.fromarray(mask), picture), steps=2).image)
    assert (made[mask == 0] == (200, 30, 30)).all()
    assert made[mask > 0].std() > 1
    assert {path.name for path in (home / "inpaint" / "samples").iterdir()} == {
        "filled-00000000.png",
        "filled-00000003.png",
    }
    losses = [json.loads(line)["loss"] for line in (home / "inpaint" / "scalars.jsonl").read_text().splitlines()]
    assert np.isfinite(losses).all()


def test_pictures_of_a_folder_are_hidden_by_shapes_alone(tmp_path: Path):
    for i in range(3):
        Image.new("RGB", (40, 40), (i * 80, 90, 90)).save(tmp_path / f"{i}.png")
    data = Folder(kind="folder", path=tmp_path, size=32)
    hidden = masks(data, 32, 0, 1, range(3))
    assert hidden.shape == (3, 1, 32, 32)
    assert 0 < float(hidden.mean()) < 1


def test_the_shipped_recipe_begins_from_mini_and_says_what_it_accepts():
    recipe = r.load("mini-inpaint")
    assert isinstance(recipe, InpaintRecipe)
    assert str(recipe.begin) == "mini"
    with pytest.raises(BadInput, match=r"masks: unknown key 'every': did you mean 'everything'"):
        r.load("mini-inpaint", ["masks.every=1"])
