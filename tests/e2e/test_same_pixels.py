"""Recorded recipes paint the pixels that they painted when they were recorded (scripts/record_pixels.py).

To the bit on the machine of the record, elsewhere within what another processor's arithmetic may do.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import hole, machine, painted, photograph, soft

from sfumato.picture import keep, open_mask, open_picture
from sfumato.recipe import Recipe

HERE = Path(__file__).parent
TOLD = json.loads((HERE / "pixels.json").read_text(encoding="utf-8"))
ELSEWHERE = 24  # levels: three steps of some samplers carry a rounding far


@pytest.fixture(scope="module", autouse=True)
def _pictures_are_kept():
    photo = photograph(0)
    for picture in (photo, photograph(1), photo.convert("L").convert("RGB"), photo.resize((128, 96))):
        keep(open_picture(picture))
    for mask in (hole(), soft(), hole().resize((128, 96))):
        keep(open_mask(mask))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", TOLD["recipes"])
def test_a_recorded_recipe_paints_what_it_painted(name):
    recipe = Recipe.from_json(json.dumps(TOLD["recipes"][name]))
    with np.load(HERE / "pixels.npz") as recorded:
        expected = recorded[name].astype(int)
    apart = np.abs(painted(recipe).astype(int) - expected)
    if machine() == TOLD["machine"] and recipe.precision == "float32":
        assert apart.max() == 0, f"{(apart > 0).mean():.1%} of the values differ, by up to {apart.max()}"
    else:
        assert apart.mean() < 2
        assert apart.max() <= ELSEWHERE
