"""Stable Diffusion's latent upscaler beside stock diffusers."""

from __future__ import annotations

import json
import shutil

import pytest
from stock import stable_diffusion_2
from stock import stable_diffusion_latent_upscale as upscale
from stock.compare import Both
from stock.edits import edits_keep_and_return, photo
from stock.unets import SIDE

import sfumato
from sfumato.formats import capabilities_of
from sfumato.guide import PerturbedAttention
from sfumato.picture import BadInput


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(upscale.build(), tmp_path_factory.mktemp("upscale"))


def test_pictures_are_those_of_the_stock_pipeline(both: Both):
    assert upscale.parity(both.stock, both.pipe) < 1e-4
    assert capabilities_of(both.folder) == both.pipe.capabilities
    assert both.pipe.stage.suits.guidance == ()


def test_every_edit_works_on_it(both: Both):
    edits_keep_and_return(both.pipe, upscale.SIZE, images=[photo(upscale.SMALL)])


def test_it_makes_what_a_model_painted_twice_as_large(both: Both, tmp_path):
    stable_diffusion_2.build().save_pretrained(tmp_path / "first")
    two = sfumato.load(f"{tmp_path / 'first'} + {both.folder}")
    made = two("a red hat", seed=1, steps=2)
    assert made.image.size == (2 * SIDE, 2 * SIDE)
    assert [(each.stage, each.steps) for each in made.recipe.stages] == [("upscale", 20)]


def test_what_it_can_not_do_is_refused(both: Both):
    with pytest.raises(BadInput, match="makes a picture larger"):
        both.pipe("a hat", steps=1)
    with pytest.raises(BadInput, match="can't be directed"):
        both.pipe("a hat", images=[photo(upscale.SMALL)], guidance=[PerturbedAttention()], steps=1)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, "predicts eps"),
        ("unet/config.json", {"time_cond_proj_dim": 130}, "weights of other shapes"),
        ("unet/config.json", {"time_embedding_type": "positional"}, "time_embedding_type"),
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
