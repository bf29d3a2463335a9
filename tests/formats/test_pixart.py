"""PixArt-alpha and -Sigma beside stock diffusers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import LCMScheduler
from stock import pixart
from stock.edits import array, edits_keep_and_return

import sfumato
from sfumato.condition import Text
from sfumato.edit import PromptToPrompt
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree, PerturbedAttention
from sfumato.model.look import look_attention
from sfumato.picture import BadInput
from sfumato.sample import Consistency

WIDTH, HEIGHT = SIZE = pixart.SIZE
OPTIONS: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}


@pytest.fixture(scope="module", params=["sigma", "alpha told sizes"])
def both(request, tmp_path_factory) -> tuple[Any, Path]:
    pipeline = pixart.build() if request.param == "sigma" else pixart.build(False, 128)
    pipeline.set_progress_bar_config(disable=True)
    folder = tmp_path_factory.mktemp("pixart")
    pipeline.save_pretrained(folder)
    return pipeline, folder


def test_pictures_are_those_of_the_stock_pipeline(both):
    stock, folder = both
    pipe = sfumato.load(folder)
    assert pixart.parity(stock, pipe) < 1e-4
    assert capabilities_of(folder) == pipe.capabilities


def test_a_folder_under_the_classs_old_name_is_read(both, tmp_path):
    """As the published ones are: a Transformer2DModel with fields that it no longer has."""
    stock, folder = both
    old = Path(shutil.copytree(folder, tmp_path / "old"))
    index = json.loads((old / "model_index.json").read_text())
    (old / "model_index.json").write_text(json.dumps(index | {"transformer": ["diffusers", "Transformer2DModel"]}))
    path = old / "transformer" / "config.json"
    fields = {"_class_name": "Transformer2DModel", "double_self_attention": False, "num_vector_embeds": None}
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    assert pixart.parity(stock, sfumato.load(old)) < 1e-4
    path.write_text(json.dumps(json.loads(path.read_text()) | {"double_self_attention": True}))
    with pytest.raises(BadInput, match="has the field 'double_self_attention'"):
        sfumato.load(old)


def test_a_consistency_model_is_run_as_one(both, tmp_path):
    other = Path(shutil.copytree(both[1], tmp_path / "lcm"))
    LCMScheduler.from_config(both[0].scheduler.config).save_pretrained(other / "scheduler")
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", "LCMScheduler"]}))
    pipe = sfumato.load(other)
    suits = pipe.stage.suits
    assert (suits.steps, suits.guidance, suits.sampler) == (4, (), Consistency())
    assert pipe.stage.denoiser.consistency
    assert capabilities_of(other) == pipe.capabilities


def test_a_tokenizer_without_a_vocabulary_is_refused(both, tmp_path):
    other = Path(shutil.copytree(both[1], tmp_path / "wordless"))
    for path in (other / "tokenizer").iterdir():
        if path.name != "tokenizer_config.json":
            path.unlink()
    with pytest.raises(BadInput, match=r"tokenizer .*knows no words: its tokenizer\.json"):
        sfumato.load(other)
    (other / "tokenizer" / "spiece.model").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"spiece\.model"):
        sfumato.load(other)


def test_its_t5_is_kept_in_float8_under_both_names_of_its_table(both):
    full, stored = (sfumato.load(both[1], precision=precision) for precision in ("float32", "float8"))
    pictures = [array(pipe("a red cat", steps=2, **OPTIONS).image).astype(float) for pipe in (full, stored)]
    assert 0 < np.abs(pictures[0] - pictures[1]).mean() < 16


def test_every_edit_works_on_it(both):
    edits_keep_and_return(sfumato.load(both[1]), SIZE)


def test_attention_is_perturbed_where_asked(both):
    pipe = sfumato.load(both[1])
    made = [
        array(pipe("a cat", guidance=[ClassifierFree(2.0), *more], steps=2, **OPTIONS).image)
        for more in ([], [PerturbedAttention(3.0, ["transformer_blocks.1"])])
    ]
    assert (made[0] != made[1]).any()
    with pytest.raises(BadInput, match="no self-attention in the layer 'mid'"):
        pipe("a cat", guidance=[PerturbedAttention()], steps=2, **OPTIONS)


def test_words_have_maps_of_attention_that_prompt_to_prompt_carries_over(both):
    pipe = sfumato.load(both[1])
    words = pipe.stage.words("A (red:1.5) cat")
    assert words is not None
    assert (words.words, words.weights) == (("a", "red", "cat"), (1.0, 1.5, 1.0))
    text = pipe.stage.encode(pipe.recipes("a red cat", **OPTIONS)).get(Text)
    assert text is not None
    assert text.mask is not None
    assert int(text.mask.sum()) == 1 + max(place for places in words.places for place in places) + 1
    looked = look_attention(pipe, pipe.recipes("a red cat", steps=1, **OPTIONS)[0])
    assert looked.words == ("a", "red", "cat")
    assert looked.maps.shape[1] * looked.maps.shape[2] == WIDTH * HEIGHT // 4**2
    same: dict[str, Any] = {"seed": 3, "steps": 3, **OPTIONS}
    held = {
        prompt: array(pipe(prompt, attention=PromptToPrompt("a red cat", 1.0, 1.0), **same).image)
        for prompt in ("a red cat", "a blue cat", "a (red:3) cat")
    }
    assert np.abs(held["a red cat"] - array(pipe("a red cat", **same).image)).max() <= 1
    assert (held["a blue cat"] != array(pipe("a blue cat", **same).image)).any()
    assert np.abs(held["a (red:3) cat"] - held["a red cat"]).max() > 1


def test_its_learned_variance_is_what_ancestral_sampling_draws_with(both):
    pipe = sfumato.load(both[1])
    made = [array(pipe("a cat", sampler=sampler, steps=3, **OPTIONS).image) for sampler in ("ddpm", "ddim")]
    assert np.abs(made[0] - made[1]).max() > 0
    learned = pipe.stage.denoiser
    condition = pipe.stage.encode(pipe.recipes("a cat", **OPTIONS))
    x = torch.randn(1, 4, HEIGHT // 2, WIDTH // 2)
    with torch.no_grad():
        fraction = learned(x, torch.tensor(0.5), condition).fraction
    assert fraction is not None
    assert fraction.shape == x.shape


def test_a_text_longer_than_the_window_is_refused(both):
    pipe = sfumato.load(both[1])
    with pytest.raises(BadInput, match=r"at most (119|299)"):
        pipe("a cat " * 160, steps=1, **OPTIONS)
