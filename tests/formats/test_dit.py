"""DiT and unconditional latent diffusion beside stock diffusers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stock import dit, latent_diffusion, latent_diffusion_upscale
from stock.edits import array, edits_keep_and_return, half, photo

import sfumato
from sfumato.edit import Outside
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree, PerturbedAttention
from sfumato.picture import BadInput

OPTIONS: dict[str, Any] = {"width": 16, "height": 16}


def saved(pipeline: Any, place: Path) -> tuple[Any, Path, sfumato.Pipe]:
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(place)
    return pipeline, place, sfumato.load(place)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return saved(dit.build(), tmp_path_factory.mktemp("dit"))


@pytest.fixture(scope="module")
def unconditional(tmp_path_factory):
    return saved(latent_diffusion.build(), tmp_path_factory.mktemp("ldm"))


def test_pictures_of_a_class_are_those_of_the_stock_pipeline(classes):
    stock, folder, pipe = classes
    assert dit.parity(stock, pipe) < 1e-3
    assert capabilities_of(folder) == pipe.capabilities
    assert len(pipe.classes) == pipe.capabilities.none == 1000


def test_classes_have_their_names_where_the_index_says_them(classes, tmp_path):
    _, folder, _ = classes
    index = json.loads((folder / "model_index.json").read_text())
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text((folder / "transformer" / "config.json").read_text())
    (tmp_path / "model_index.json").write_text(
        json.dumps({**index, "id2label": {"0": "tench, Tinca tinca", "1": "boat"}})
    )
    assert capabilities_of(tmp_path).classes[:3] == ("tench", "boat", "2")


def test_its_attention_is_perturbed_and_only_squares_are_painted(classes):
    _, _, pipe = classes
    plain, perturbed = (
        array(pipe(label=1, guidance=[ClassifierFree(2.0), *more], steps=2).image)
        for more in ([], [PerturbedAttention(3.0, ["transformer_blocks.1"])])
    )
    assert (plain != perturbed).any()
    with pytest.raises(BadInput, match="squares alone"):
        pipe(label=1, steps=1, width=16, height=32)
    with pytest.raises(BadInput, match="reads no text"):
        pipe("a cat", steps=1)


def test_unconditional_pictures_are_those_of_the_stock_pipeline(unconditional):
    stock, folder, pipe = unconditional
    assert latent_diffusion.parity(stock, pipe) < 1e-3
    assert capabilities_of(folder) == pipe.capabilities


def test_a_small_picture_is_made_larger_as_the_stock_pipeline_does_it(tmp_path_factory):
    stock, folder, pipe = saved(latent_diffusion_upscale.build(), tmp_path_factory.mktemp("larger"))
    assert latent_diffusion_upscale.parity(stock, pipe) < 1e-3
    assert capabilities_of(folder) == pipe.capabilities
    small, size = photo((8, 8)), (16, 16)
    made = [array(pipe(images=[each], steps=2).image) for each in (small, photo((8, 8), 1))]
    assert (made[0] != made[1]).any()
    held = array(pipe(images=[small], hold=Outside(half(size), photo(size)), steps=2).image)
    assert (held[:, :8] == array(photo(size))[:, :8]).all()
    with pytest.raises(BadInput, match="larger"):
        pipe(steps=1)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "LDMPipeline"}))
    with pytest.raises(BadInput, match="turns 6 channels into 3"):
        sfumato.load(folder)


@pytest.mark.parametrize("which", ["classes", "unconditional"])
def test_every_edit_works_on_them(which, request):
    _, _, pipe = request.getfixturevalue(which)
    said: dict[str, Any] = {"label": 3, "shows": "4"} if which == "classes" else {"shows": "", "returns": False}
    edits_keep_and_return(pipe, (16, 16), prompt="", **said)
