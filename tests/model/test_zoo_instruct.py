"""The built-in model that is told what to change does so, leaves the rest, and is what stock diffusers reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import sfumato
from sfumato.data.vignettes import instructions
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.model_samples import SampleSettings
from sfumato.evaluate.obedience import Case, measure_obedience
from sfumato.guide import Instruct
from sfumato.zoo import place
from sfumato.zoo.find import find

pytestmark = pytest.mark.skipif(not place("mini-instruct").is_dir(), reason="the miniature is not in this checkout")


@pytest.fixture(scope="module")
def pipe() -> sfumato.Pipe:
    return sfumato.load("mini-instruct")


def test_it_does_what_it_is_told_and_nothing_else(pipe):
    """Of six pictures five show what was asked, and five all else as it was; the picture before shows nothing of it."""
    scale = pipe.stage.suits.scale
    sampling = SampleSettings(8, "dpmpp-2m", scale, 1_000_003)
    found = measure_obedience(pipe, Judge.load(), count=6, split="seen", sampling=sampling, bar=False)
    assert found.parts["floor"].asked.value == 0
    assert found.parts["ours"].asked.value > 0.8
    assert found.parts["ours"].others.value > 0.8
    assert found.parts["ours"].apart.value < 20


def test_its_folder_says_how_it_is_guided(pipe):
    (recipe,) = pipe.recipes("make the hat red")
    assert recipe.guidance == (Instruct(2.5, 2.5),)


def test_with_a_mask_the_rest_stays_to_the_byte(pipe):
    case = Case(instructions.edit(7, 3), 128)
    before = case.pictures[0]
    mask = Image.new("L", before.size, 0)
    mask.paste(255, (32, 32, 96, 96))
    hold = sfumato.Outside(mask, picture=before)
    made = pipe(case.instruction, images=[before], hold=hold, steps=4, seed=1).image
    same = (np.asarray(made) == np.asarray(before)).all(-1)
    outside = np.asarray(mask) == 0
    assert same[outside].all()
    assert not same[~outside].all()


def test_stock_diffusers_reads_its_network(pipe):
    from diffusers import UNet2DConditionModel

    stock = UNet2DConditionModel.from_pretrained(find("mini-instruct") / "unet", torch_dtype=torch.float32)
    ours = pipe.stage.networks["unet"]
    for name, weight in stock.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], weight, rtol=0, atol=0)
