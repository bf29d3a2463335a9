"""Learned words: read as their vectors in the encoder, with the tokenizer and the table of tokens as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from adapter_files import make_encoder, written

import sfumato
from sfumato.adapt import Embedding, open_file
from sfumato.adapt.adaptation import Adaptation
from sfumato.adapt.words import FIRST
from sfumato.picture import BadInput
from sfumato.recipe import Recipe


@pytest.fixture(scope="module")
def pipe(tiny_model) -> sfumato.Pipe:
    return sfumato.load(tiny_model)


def width(pipe: sfumato.Pipe) -> int:
    return pipe.stage.networks["text_encoder"].config.hidden_size  # type: ignore[union-attr]


@pytest.fixture
def word(pipe, tmp_path):
    vectors = torch.randn(3, width(pipe), generator=torch.Generator().manual_seed(1))
    return vectors, written(tmp_path / "birb.safetensors", {"emb_params": vectors})


def test_a_word_of_three_vectors_is_three_tokens(pipe, word):
    """As the embedding of a text whose three tokens have those vectors in the table."""
    vectors, path = word
    plain, stage = pipe.stage, pipe.adapted((Embedding(path),))
    encoder: Any = plain.encoders[0]
    knowing: Any = stage.encoders[0]
    table: Any = plain.networks["text_encoder"].get_submodule("embeddings.token_embedding")
    found = stage.encode([Recipe("a (birb:1.3) on the sea")]).parts[0]
    own, others = table.weight, [300, 301, 302]  # tokens that stand for the word's
    swapped = own.clone()
    swapped[others] = vectors
    table.weight = torch.nn.Parameter(swapped, requires_grad=False)
    encoder.cut = lambda text: [
        [(token if token < FIRST else others[token - FIRST], weight) for token, weight in chunk]
        for chunk in knowing.encoder.cut(text)
    ]
    try:
        expected = plain.encode([Recipe("a (birb:1.3) on the sea")]).parts[0]
    finally:
        del encoder.cut
        table.weight = own
    assert torch.equal(found.embeds, expected.embeds)  # type: ignore[attr-defined]
    assert not torch.equal(found.embeds, plain.encode([Recipe("a (birb:1.3) on the sea")]).parts[0].embeds)  # type: ignore[attr-defined]


def test_the_word_changes_the_picture_and_only_where_it_is_said(pipe, word):
    before = pipe.stage.networks["text_encoder"].get_submodule("embeddings.token_embedding").weight
    options = {"steps": 2, "sampler": "ddim", "adapters": [Embedding(word[1], "Sks")]}
    plain = np.asarray(pipe("a boat", steps=2, sampler="ddim").image)
    assert (np.asarray(pipe("a boat", **options).image) == plain).all()
    said = pipe("a sks boat", negative="sks", **options)
    without = pipe("a sks boat", negative="sks", steps=2, sampler="ddim")
    assert (np.asarray(said.image) != np.asarray(without.image)).any()
    assert pipe.stage.networks["text_encoder"].get_submodule("embeddings.token_embedding").weight is before
    words = pipe.adapted(said.recipe.adapters).words("a sks boat")
    assert words is not None
    assert words.words == ("a", "Sks", "boat")
    assert [len(place) for place in words.places[:2]] == [1, 3]


def test_clip_pools_where_the_text_ends():
    """Where configs say eos 2, CLIP pools at the largest id: a word's own ids must not win."""
    encoder = make_encoder()
    encoder.config.eos_token_id = encoder.eos_token_id = 2
    from sfumato.adapt.words import LearnedWords

    words = LearnedWords({"w": [torch.randn(1, 24)]})
    ids = torch.tensor([[198, 5, FIRST, 7, 199, 0]])
    (place,) = words.tables({"text_encoder": encoder})
    out = place[2](ids)
    assert torch.equal(out.pooler_output[0], out.last_hidden_state[0, 4])
    other = encoder(torch.tensor([[198, 5, 0, 7, 199, 0]]))
    assert not torch.equal(out.pooler_output, other.pooler_output)
    assert "forward" not in vars(encoder.embeddings.token_embedding)


@pytest.mark.parametrize("form", ["a1111", "diffusers", "invoke", "two encoders"])
def test_every_format(form, tmp_path):
    networks = {"text_encoder": make_encoder(24), "text_encoder_2": make_encoder(32)}
    one, two = torch.randn(2, 24), torch.randn(2, 32)
    path = tmp_path / ("birb.pt" if form == "a1111" else "birb.safetensors")
    if form == "a1111":
        torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": one}, "name": "x", "step": 3}, path)
    elif form == "diffusers":
        written(path, {"<birb-style>": one[0]})
    else:
        written(path, {"emb_params": one} if form == "invoke" else {"clip_l": one, "clip_g": two})
    words = Adaptation(networks, [Embedding(open_file(path, allow_pickle=True))]).words
    assert words is not None
    assert list(words.ids) == ["<birb-style>" if form == "diffusers" else "birb"]
    count = 1 if form == "diffusers" else 2
    assert {at for _, at in words.vectors} == ({24, 32} if form == "two encoders" else {24})
    assert all(torch.equal(words.vectors[FIRST + i, 24], one[i]) for i in range(count))
    assert words.split("a <birb-style>, BIRB") == (
        ["a ", [FIRST], ", BIRB"]
        if form == "diffusers"
        else ["a <", [FIRST, FIRST + 1], "-style>, ", [FIRST, FIRST + 1]]
    )


def test_one_of_another_width_is_refused(tmp_path):
    path = written(tmp_path / "birb.safetensors", {"emb_params": torch.randn(2, 768)})
    with pytest.raises(BadInput, match="of width 768, and this model's texts are of 24"):
        Adaptation({"text_encoder": make_encoder(24)}, [Embedding(path)])
    other = written(tmp_path / "lora.safetensors", {"a": torch.zeros(2, 3), "b": torch.zeros(2, 3)})
    with pytest.raises(BadInput, match="is no embedding of a word"):
        Adaptation({"text_encoder": make_encoder(24)}, [Embedding(other)])


def test_comfyui_names_the_file_in_the_prompt(pipe, word, tmp_path, monkeypatch):
    monkeypatch.setenv("SFUMATO_EMBEDDINGS", str(tmp_path))
    (recipe,) = pipe.recipes("a boat, (embedding:birb:1.2)")
    assert recipe.prompt == "a boat, (birb:1.2)"
    assert recipe.adapters == (Embedding(word[1], "birb"),)
    (recipe,) = pipe.recipes("a boat", negative="embedding:birb")
    assert (recipe.negative, recipe.adapters) == ("birb", (Embedding(word[1], "birb"),))
