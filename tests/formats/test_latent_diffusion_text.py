"""CompVis' latent diffusion told words, beside stock diffusers."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from stock import latent_diffusion_text as ldm
from stock.compare import Both
from stock.edits import edits_keep_and_return

import sfumato
from sfumato.condition import Text
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree
from sfumato.picture import BadInput
from sfumato.recipe import Recipe


@pytest.fixture(scope="module", params=[False, True], ids=["kl", "codebook"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(ldm.build(request.param), tmp_path_factory.mktemp("ldm"))


def test_pictures_are_those_of_the_stock_pipeline(both: Both):
    assert ldm.parity(both.stock, both.pipe) < 1e-4
    assert capabilities_of(both.folder) == both.pipe.capabilities
    assert both.pipe.stage.suits.guidance == (ClassifierFree(5.0),)


def test_words_are_read_as_by_the_stock_encoder(both: Both):
    said = "a red hat, on the xylophone."
    ids = both.stock.tokenizer(said, padding="max_length", max_length=77, return_tensors="pt").input_ids
    text = both.pipe.stage.encode([Recipe(prompt=said)]).get(Text)
    assert text is not None
    with torch.no_grad():
        torch.testing.assert_close(text.embeds, both.stock.bert(ids)[0], rtol=0, atol=1e-5)
    words = both.pipe.stage.words("A (red:1.5) hat")
    assert words is not None
    assert (words.words, words.places, words.weights) == (("a", "red", "hat"), ((1,), (2,), (3,)), (1.0, 1.5, 1.0))
    whole = both.pipe.stage.words("xyz hat")
    assert whole is not None
    assert (whole.words, whole.places) == (("xyz", "hat"), ((1, 2, 3), (4,)))
    with pytest.raises(BadInput, match="80 tokens long and this model's text encoder reads at most 75"):
        both.pipe.stage.encode([Recipe(prompt="boat " * 80)])


def test_every_edit_works_on_it(both: Both):
    codes = type(both.stock.vqvae).__name__ == "VQModel"
    edits_keep_and_return(both.pipe, ldm.SIZE, returns=not codes)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("unet/config.json", {"class_embed_type": "timestep"}, "class_embed_type"),
        ("bert/config.json", {"d_model": 16}, "bert of the model in .*copy has weights of other shapes"),
        ("bert/config.json", {"encoder_layers": 3}, "bert of the model in .*copy lacks weights"),
        ("model_index.json", {"bert": ["transformers", "BertModel"]}, "bert is a BertModel; accepted is LDMBertModel"),
        ("model_index.json", {"vqvae": ["diffusers", "AutoencoderDC"]}, "vqvae is a AutoencoderDC"),
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
