"""LoRAs and embeddings that other people's tools wrote, on networks of Stable Diffusion 1.5's true shapes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.adapt import Embedding, LoRA, open_file
from sfumato.adapt.adaptation import Adaptation
from sfumato.adapt.layers import word_keys
from sfumato.adapt.read import contents
from sfumato.formats import architectures
from sfumato.formats.architectures import KNOWN, empty_family
from sfumato.formats.convert_adapter import convert_adapter
from sfumato.picture import BadInput

SHARED = next(
    (each / "shared" / "data" for each in Path(__file__).parents if (each / "shared" / "data").is_dir()), Path()
)
FILES = SHARED / "interop"
CONFIGS = SHARED / "configs"
LORAS = {
    "lora-cloneofsimo-apache/example_loras/analog_svd_rank4.safetensors": (144, 48),
    "lora-cloneofsimo-apache/example_loras/lora_disney.safetensors": (144, 48),
    "lora-diffusers-mit/pytorch_lora_weights.safetensors": (128, 0),
    "lora-diffusers-mit/pytorch_lora_weights.bin": (128, 0),
}  # layers of the U-Net and of the text encoder

pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason="the files (../shared/data/interop) aren't here")


def shaped(folder: str) -> dict[str, Any]:
    """U-Net and text encoder of a model's shapes, without numbers."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    config = {
        part: json.loads((CONFIGS / folder / part / "config.json").read_text()) for part in ("unet", "text_encoder")
    }
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config["unet"])  # pyright: ignore[reportArgumentType]
        return {"unet": unet, "text_encoder": CLIPTextModel(CLIPTextConfig(**config["text_encoder"]))}


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    found = shaped("runwayml/stable-diffusion-v1-5")
    for layer in found["unet"].down_blocks[0].attentions.modules():  # one block has numbers
        for name, weight in layer.named_parameters(recurse=False):
            value = torch.randn(weight.shape).to(torch.bfloat16)
            layer.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))
    return found


def opened(name: str) -> LoRA:
    return LoRA(open_file(FILES / name, allow_pickle=True))


@pytest.mark.parametrize("name", LORAS)
def test_every_key_is_used(networks, name):
    adaptation = Adaptation(networks, [opened(name)])
    counts = tuple(len([each for each in adaptation.bound[0].changes if each.part == part]) for part in networks)
    assert counts == LORAS[name]
    found = contents(opened(name).file)
    assert 2 * sum(counts) + len(word_keys(found)) == len(found.tensors)
    assert len(adaptation.painting(0.5).places) == counts[0]


@pytest.mark.parametrize("name", list(LORAS)[2:])
def test_what_stands_in_is_the_sum(networks, name):
    adapter = opened(name)
    found = contents(adapter.file).tensors
    layer = networks["unet"].down_blocks[0].attentions[0].transformer_blocks[0].attn2.to_k
    stem = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora"
    delta = found[f"{stem}.up.weight"].double() @ found[f"{stem}.down.weight"].double()
    with Adaptation(networks, [adapter * 0.5]).painting(0.5):
        now = layer.weight.double()
    torch.testing.assert_close(now, layer.weight.double() + 0.5 * delta, rtol=0.01, atol=1e-3)
    assert (now != layer.weight.double()).any()


def test_a_hundred_times_in_any_order_the_base_is_what_it_was(networks):
    before = [(p, p.clone()) for network in networks.values() for p in network.parameters()]
    block = networks["unet"].down_blocks[0].attentions[0].transformer_blocks[0].attn2
    adapters, chance = [opened(name) for name in LORAS], random.Random(0)
    kept = {}
    for pair in {tuple(chance.sample(range(3), 2)) for _ in range(6)}:
        kept[pair] = Adaptation(networks, [adapters[i] for i in pair]).painting(0.5)
    for _ in range(100):
        with kept[chance.choice(list(kept))], kept[chance.choice(list(kept))]:
            assert block.to_q.weight is not before[0][0]
    now = [p for network in networks.values() for p in network.parameters()]
    assert all(p is q for p, (q, _) in zip(now, before, strict=True))
    assert all(p.device.type == "meta" or torch.equal(p, bits) for p, (_, bits) in zip(now, before, strict=True))


def test_numbered_layers_are_those_that_the_numbers_meant(networks):
    """The first layers of cloneofsimo's order, and its last: the middle block's, which was made after all others."""
    changes = Adaptation(networks, [opened(next(iter(LORAS)))]).bound[0].changes
    layers = [each.pieces[0].layer for each in changes if each.part == "unet"]
    first = "down_blocks.0.attentions.0.transformer_blocks.0."
    assert layers[:6] == [
        first + to for to in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "attn2.to_q")
    ]
    assert layers[-1] == "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0"


@pytest.mark.parametrize(
    ("name", "to"),
    zip((*LORAS, list(LORAS)[1]), ("kohya", "lycoris", "diffusers", "kohya", "diffusers"), strict=True),
)
def test_in_another_format_every_tensor_is_there(networks, tmp_path, name, to):
    """Told from the file alone for which model it was made."""
    target = tmp_path / "a.safetensors"
    if word_keys(contents(opened(name).file)) and to == "diffusers":
        with pytest.raises(BadInput, match="brings the word '<s1>', for which diffusers' files of LoRAs have no place"):
            convert_adapter(opened(name).file, target, to)
        return
    convert_adapter(opened(name).file, target, to)
    before, after = (Adaptation(networks, [each]).bound[0] for each in (opened(name), LoRA(target)))
    theirs = {(each.part, each.pieces): each.tensors for each in after.changes}
    assert len(theirs) == len(before.changes)
    for each in before.changes:
        own = theirs[each.part, each.pieces]
        assert all(torch.equal(own[key].reshape(tensor.shape), tensor) for key, tensor in each.tensors.items())
    assert before.words.keys() == after.words.keys()
    assert all(torch.equal(a[0], b[0]) for a, b in zip(before.words.values(), after.words.values(), strict=True))


@pytest.mark.parametrize(
    ("title", "folder"),
    [
        ("Stable Diffusion 1", "runwayml/stable-diffusion-v1-5"),
        ("Stable Diffusion 2", "stabilityai/stable-diffusion-2-1"),
        ("Stable Diffusion XL", "stabilityai/stable-diffusion-xl-base-1.0"),
        ("Stable Diffusion XL's refiner", "stabilityai/stable-diffusion-xl-refiner-1.0"),
        ("Stable Diffusion 3", "stabilityai/stable-diffusion-3-medium-diffusers"),
    ],
)
def test_what_is_known_of_families_is_what_their_configs_say(title, folder):
    for part, network in empty_family(title).items():
        if (path := CONFIGS / folder / part / "config.json").is_file():
            theirs = architectures.empty(part, KNOWN[title][part][0], json.loads(path.read_text()))
            one, other = ({name: p.shape for name, p in each.named_parameters()} for each in (network, theirs))
            assert one == other, part


@pytest.mark.parametrize(
    ("name", "word", "count"),
    [
        ("embedding-diffusers-apache/learned_embeds.bin", "<birb-style>", 1),
        ("embedding-invokeai-apache/test_embedding.safetensors", "test_embedding", 5),
    ],
)
def test_embeddings(networks, name, word, count):
    words = Adaptation(networks, [Embedding(open_file(FILES / name, allow_pickle=True))]).words
    assert words is not None
    assert {each: len(ids) for each, ids in words.ids.items()} == {word: count}


def test_words_in_a_file_of_weights(networks):
    words = Adaptation(networks, [opened(list(LORAS)[1])]).words
    assert words is not None
    assert words.split("a <s1><s2> cat") == ["a ", words.ids["<s1>"], words.ids["<s2>"], " cat"]


def test_on_another_architecture_it_is_said():
    other = shaped("stabilityai/stable-diffusion-xl-base-1.0")
    for name in list(LORAS)[:3]:
        with pytest.raises(BadInput, match=r"was made for Stable Diffusion 1, and this model is Stable Diffusion XL\b"):
            Adaptation(other, [opened(name)])
