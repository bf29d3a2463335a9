"""Sana beside stock diffusers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from stock import sana
from stock.edits import edits_keep_and_return

import sfumato
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree, PerturbedAttention
from sfumato.picture import BadInput

WIDTH, HEIGHT = SIZE = sana.SIZE
OPTIONS: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}
LONG = "blue, and a long text of other things, many of them"


@pytest.fixture(scope="module")
def stock() -> Any:
    pipeline = sana.build()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def folder(stock, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("sana")
    stock.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def pipe(folder) -> sfumato.Pipe:
    return sfumato.load(folder)


@pytest.mark.parametrize("sampler", ["dpmpp-2m", "euler"])
def test_pictures_are_those_of_the_stock_pipeline(stock, pipe, sampler):
    assert sana.parity(stock, pipe, sampler) < 1e-4


def test_pictures_are_decoded_as_by_the_stock_pipeline(stock, pipe):
    x = torch.randn(1, 4, 8, 16, generator=torch.Generator().manual_seed(2))
    space = pipe.stage.space
    with torch.no_grad():
        theirs = stock.vae.decode(x / 0.41407).sample
        torch.testing.assert_close(space.decode(x), theirs, rtol=0, atol=1e-6)
        torch.testing.assert_close(space.encode(theirs), stock.vae.encode(theirs).latent * 0.41407, rtol=0, atol=1e-6)


def test_every_edit_works_on_it(pipe):
    edits_keep_and_return(pipe, SIZE)


def test_what_it_can_be_told_is_read_from_json_alone(folder, pipe):
    assert capabilities_of(folder) == pipe.capabilities
    assert pipe.stage.suits.guidance == (ClassifierFree(4.5),)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"guidance": [PerturbedAttention()]}, "perturbed-attention out"),
        ({"prompt": "a (red:1.3) hat"}, "no weights"),
        ({"prompt": "very " * 200}, "at most 300"),
    ],
)
def test_what_it_can_not_do_is_refused_by_name(pipe, options, words):
    with pytest.raises(BadInput, match=words):
        pipe(**{"prompt": "a cat", **options, **OPTIONS})


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("transformer/config.json", {"guidance_embeds": True}, "guidance_embeds"),
        ("scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, "prediction_type"),
        ("scheduler/scheduler_config.json", {"thresholding": True}, "thresholding"),
        ("scheduler/scheduler_config.json", {"strange": 1}, "strange"),
        ("scheduler/scheduler_config.json", {"_class_name": "SCMScheduler"}, "SCMScheduler"),
        ("model_index.json", {"_class_name": "SanaSprintPipeline"}, "an SCMScheduler"),
        ("model_index.json", {"_class_name": "SanaVideoPipeline"}, "Sana-Video"),
    ],
)
def test_a_broken_folder_is_one_sentence(folder, tmp_path, file, change, words):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadInput, match=words) as caught:
        sfumato.load(copy)
    assert "\n" not in str(caught.value)
