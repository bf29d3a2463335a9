"""The instruct task: at step 0 the network that it begins from, whatever picture stands beside; then it edits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from random_model import TINY, build

import sfumato
from sfumato import train
from sfumato.condition import Concat, Text
from sfumato.data.vignettes.instructions import edit, pictures
from sfumato.guide import Instruct
from sfumato.picture import BadInput
from sfumato.train import recipe as r
from sfumato.train.dropping import Dropout
from sfumato.train.task import Place
from sfumato.train.tasks.instruct import InstructTask

RECIPE = """
task: instruct
data: {kind: instructions, count: 12, size: 32}
autoencoder: MODEL
text_encoder: MODEL
begin: MODEL
network: {channels: [32, 64], attention: [false, true], heads: [2, 4], groups: 8}
paraphrases: 2
batch: 4
steps: 3
every: {log: 1}
held_back: 4
preview: {count: 1, steps: 1}
precision: float32
threads: 1
workers: 1
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs")
    build(home / "model", shape=TINY)
    (home / "instruct.yaml").write_text(RECIPE.replace("MODEL", str(home / "model")))
    train.run(home / "instruct.yaml", out=home / "instruct")
    return home


def made(home: Path, *overrides: str) -> Any:
    torch.manual_seed(0)
    return InstructTask(r.load(home / "instruct.yaml", overrides), Place(home / "instruct", home / "cache"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def task(home: Path) -> Any:
    return made(home)


def test_at_step_0_it_is_the_network_that_it_began_from(home, task):
    from diffusers import UNet2DConditionModel

    first = UNet2DConditionModel.from_pretrained(home / "model" / "unet")
    x, t, text = torch.randn(2, 4, 16, 16), torch.tensor([100.0, 900.0]), torch.randn(2, 48, 64)
    with torch.no_grad():
        wide = task.network(torch.cat([x, torch.from_numpy(np.array(task.planes[:2])).float()], 1), t, text).sample
        torch.testing.assert_close(wide, first(x, t, text).sample, rtol=1e-5, atol=1e-5)


def test_it_learns_the_changed_picture_from_the_other_and_the_instruction(task):
    before, after = (np.stack(both) for both in zip(*(pictures(edit(0, i), 32) for i in range(12)), strict=True))
    assert np.array_equal(task.train_set.pictures, after)
    assert np.array_equal(task.before[0].pictures, before)
    assert task.train_set.captions[5] == list(edit(0, 5).instructions)
    assert task.test_set.captions[1] == list(edit(0, 13).instructions)
    rows, generator = np.repeat(np.arange(4), 500), torch.Generator().manual_seed(1)
    dropped = task.dropped(len(rows), generator)
    told = task.condition(rows, [0] * len(rows), dropped, generator)
    planes, words = told.get(Concat).planes, told.get(Text).embeds
    with torch.no_grad():
        seen = task.space.encode(task.before[0].batch(np.arange(4))) / task.space.scale + task.space.shift
    blank = (planes == 0).flatten(1).all(1)
    torch.testing.assert_close(planes[~blank], seen[rows][~blank], rtol=2e-3, atol=2e-3)
    wordless = (words == task.captions.batch(rows[:1], [0], torch.tensor([True]))).flatten(1).all(1)
    assert torch.equal(wordless, dropped)
    for found in (blank & ~wordless, ~blank & wordless, blank & wordless):
        assert 0.03 < found.float().mean() < 0.07


def test_how_often_words_picture_and_both_are_left_out():
    generator, n = torch.Generator().manual_seed(0), 200_000
    for said in (Dropout(), Dropout(words=0.2, picture=0.1, both=0.3), Dropout(words=0, picture=0.5, both=0)):
        words = said.without_words(n, generator)
        picture = said.without_picture(words, generator)
        shares = [(words & ~picture), (picture & ~words), (words & picture)]
        wanted = torch.tensor([said.words, said.picture, said.both])
        torch.testing.assert_close(torch.stack([s.float().mean() for s in shares]), wanted, rtol=0, atol=4e-3)


def test_the_export_edits_here_and_in_stock_diffusers(home):
    from diffusers import StableDiffusionInstructPix2PixPipeline

    export = home / "instruct" / "export"
    stock = StableDiffusionInstructPix2PixPipeline.from_pretrained(export)
    assert stock.unet.config.in_channels == 8
    pipe = sfumato.load(str(export))
    picture = Image.fromarray(pictures(edit(0, 2), 32)[0])
    told: dict[str, Any] = {"steps": 2, "seed": 1, "width": 32, "height": 32}
    made = [
        np.asarray(pipe("add a scarf", images=[shown], guidance=[Instruct(4.0, 1.5)], **told).image)
        for shown in (picture, Image.new("RGB", (32, 32), (200, 30, 30)))
    ]
    assert (made[0] != made[1]).any()
    figures = json.loads((home / "instruct" / "figures.json").read_text())
    assert {"loss_right", "loss_wrong_words", "loss_wrong_picture"} <= figures.keys()
    assert len({figures[f"loss_{name}"] for name in ("right", "wrong_words", "wrong_picture")}) == 3
    assert (home / "instruct" / "samples" / "edited-00000003.png").is_file()


def test_pictures_before_and_after_of_a_folder(home, tmp_path):
    lines = []
    for i in range(4):
        for k, name in enumerate(("before", "after")):
            Image.new("RGB", (32, 32), (60 * i, 90 * k, 90)).save(tmp_path / f"{name}{i}.png")
        line = {"file_name": f"after{i}.png", "edit_prompt": "make it green", "input_image": f"before{i}.png"}
        lines.append(json.dumps(line))
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    data = f"data={{kind: folder, path: {tmp_path}, size: 32, text: edit_prompt}}"
    task = made(home, data, "given={column: input_image}")
    assert task.train_set.pictures[1, 0, 0].tolist() == [60, 90, 90]
    assert task.before[0].pictures[1, 0, 0].tolist() == [60, 0, 90]
    assert task.before[1].pictures[0, 0, 0].tolist() == [180, 0, 90]
    with pytest.raises(BadInput, match="instruct needs pictures before and after"):
        made(home, data)
    with pytest.raises(BadInput, match="the key 'nothing' of its metadata names no picture"):
        made(home, data, "given={column: nothing}")
    with pytest.raises(BadInput, match="together at most 1"):
        made(home, "dropout={words: 0.6, picture: 0.3, both: 0.3}")
