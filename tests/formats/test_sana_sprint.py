"""Sana-Sprint beside stock diffusers."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from stock import sana_sprint
from stock.compare import Both, noise, walked
from stock.edits import half, photo

import sfumato
from sfumato import Outside, SDEdit
from sfumato.formats import capabilities_of
from sfumato.guide import Distilled
from sfumato.picture import BadInput
from sfumato.schedule import Flow, VPLinear
from sfumato.times import AngleGrid

SIZE = sana_sprint.SIZE


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(sana_sprint.build(), tmp_path_factory.mktemp("sprint"))


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_pictures_are_those_of_the_stock_pipeline(both: Both, steps: int):
    assert sana_sprint.parity(both.stock, both.pipe, steps) < 1e-4


def test_it_is_told_the_scale_of_its_guidance(both: Both):
    assert capabilities_of(both.folder) == both.pipe.capabilities
    assert both.pipe.stage.suits.guidance == (Distilled(4.5),)
    x, size = noise(both.pipe, SIZE), {"width": SIZE[0], "height": SIZE[1]}
    ends = [walked(both.pipe, x, "a hat", steps=2, guidance=[Distilled(scale)], **size) for scale in (1.0, 4.5)]
    assert (ends[0] - ends[1]).abs().max() > 1e-4


def test_edits_work_on_it_and_samplers_of_other_models_do_not(both: Both):
    picture, mask = photo(SIZE), half(SIZE)
    said = {"width": SIZE[0], "height": SIZE[1], "seed": 1}
    edited = both.pipe("a hat", start=SDEdit(picture, 0.6), hold=Outside(mask), **said).image
    box = (0, 0, SIZE[0] // 2, SIZE[1])
    assert edited.crop(box).tobytes() == picture.crop(box).tobytes()
    assert edited.tobytes() != picture.tobytes()
    with pytest.raises(BadInput, match="consistency"):
        both.pipe("a hat", sampler="ddim", **said)


def test_the_grid_has_equal_steps_in_the_angle():
    for schedule in (Flow(), Flow(3.0), VPLinear()):
        alpha, sigma = schedule(AngleGrid()(4, schedule))
        angles = torch.atan2(sigma, alpha)
        torch.testing.assert_close(angles, angles[0] * torch.tensor([4, 3, 2, 1, 0]).double() / 4, rtol=0, atol=1e-6)
    assert float(AngleGrid(1.3)(2, Flow())[1]) == pytest.approx(math.sin(1.3) / (math.sin(1.3) + math.cos(1.3)))
    late = AngleGrid(1.3)(2, Flow(), 0.5)
    assert late.tolist() == pytest.approx([0.5, math.tan(math.pi / 8) / (1 + math.tan(math.pi / 8)), 0])


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("transformer/config.json", {"guidance_embeds": False}, "guidance_embeds"),
        ("scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, "predicts epsilon"),
        ("scheduler/scheduler_config.json", {"strange": 1}, "strange"),
        ("scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler"}, "DDIMScheduler"),
    ],
)
def test_a_broken_folder_is_one_sentence(both: Both, tmp_path, file, change, words):
    copy = tmp_path / "copy"
    shutil.copytree(both.folder, copy)
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadInput, match=words) as caught:
        sfumato.load(copy)
    assert "\n" not in str(caught.value)
