"""Adapters in a run: what they do is what merged weights do, and the model is left as it was, to the bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from adapter_files import tensors, written
from hypothesis import given, settings
from hypothesis import strategies as st

import sfumato
from sfumato.adapt import Adapter, LoRA, adapters_in
from sfumato.picture import BadInput
from sfumato.provenance import redo
from sfumato.recipe import Recipe
from sfumato.train.method import METHODS, Subject

QUICK = {"steps": 3, "sampler": "ddim"}


@pytest.fixture(scope="module")
def pipe(tiny_model) -> sfumato.Pipe:
    return sfumato.load(tiny_model)


def layers(pipe: sfumato.Pipe, part: str, *ends: str) -> list[str]:
    return [name for name, _ in pipe.stage.networks[part].named_modules() if name.endswith(ends)]


def made(pipe: sfumato.Pipe, path: Path, chosen: dict[str, tuple[str, ...]], seed: int = 0) -> Path:
    found = {}
    for part, ends in chosen.items():
        for i, name in enumerate(layers(pipe, part, *ends)):
            weight = pipe.stage.networks[part].get_submodule(name).weight
            down, up = tensors(weight.shape, seed=seed + i)
            found |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
    return written(path, found)


@pytest.fixture(scope="module")
def files(pipe, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("loras")
    kinds = {
        "attention": {"unet": ("attn2.to_k", "attn2.to_v", "attn1.to_q")},
        "convolution": {"unet": ("conv1", "conv_in")},
        "words": {"text_encoder": ("q_proj", "fc1")},
        "all": {"unet": ("attn2.to_k", "attn2.to_q", "conv2"), "text_encoder": ("v_proj",)},
    }
    return {
        name: made(pipe, folder / f"{name}.safetensors", each, 100 * i) for i, (name, each) in enumerate(kinds.items())
    }


def state(pipe: sfumato.Pipe) -> list[tuple[torch.nn.Parameter, torch.Tensor]]:
    return [(p, p.detach().clone()) for network in pipe.stage.networks.values() for p in network.parameters()]


def unchanged(pipe: sfumato.Pipe, before: list[tuple[torch.nn.Parameter, torch.Tensor]]) -> bool:
    now = [p for network in pipe.stage.networks.values() for p in network.parameters()]
    return all(p is q and torch.equal(p, bits) for p, (q, bits) in zip(now, before, strict=True))


def pixels(pipe: sfumato.Pipe, **options) -> np.ndarray:
    return np.asarray(pipe("a red boat", **{**QUICK, **options}).image)


def merged(tiny_model: Path, path: Path, weight: float) -> sfumato.Pipe:
    """A pipe whose weights were changed for good: W + weight B A."""
    from safetensors.torch import load_file

    pipe = sfumato.load(tiny_model)
    found = load_file(path)
    for key, down in found.items():
        if not key.endswith("lora_A.weight"):
            continue
        part, _, name = key.removesuffix(".lora_A.weight").partition(".")
        layer = pipe.stage.networks[part].get_submodule(name)
        up = found[key.replace("lora_A", "lora_B")]
        delta = (up.flatten(1) @ down.flatten(1)).reshape(layer.weight.shape)
        layer.weight = torch.nn.Parameter(layer.weight + weight * delta, requires_grad=False)  # type: ignore[assignment]
    return pipe


def test_it_is_what_merged_weights_are(pipe, files, tiny_model):
    before, base = state(pipe), pixels(pipe)
    with_it = pixels(pipe, adapters=[LoRA(files["all"]) * 0.5])
    assert unchanged(pipe, before)
    assert (with_it != pixels(merged(tiny_model, files["all"], 0.5))).sum() == 0
    assert np.abs(with_it.astype(int) - base).max() > 10
    assert (pixels(pipe) == base).all()


def test_at_weight_0_nothing_changes(pipe, files):
    from sfumato.adapt.adaptation import Adaptation

    nothing = [LoRA(file) * 0 for file in files.values()]
    adaptation = Adaptation(pipe.stage.networks, nothing)
    assert not adaptation.reading.places
    assert not adaptation.painting(0.5).places
    assert (pixels(pipe, adapters=nothing) == pixels(pipe)).all()


def test_attached_it_is_in_every_recipe_until_it_is_detached(pipe, files):
    lora, words = LoRA(files["attention"]) * 0.7, LoRA(files["words"])
    base = pixels(pipe)
    given = pixels(pipe, adapters=[lora, words])
    with pipe.attach(lora):
        handle = pipe.attach(words)
        result = pipe("a red boat", **QUICK)
        assert result.recipe.adapters == (lora, words)
        assert (np.asarray(result.image) == given).all()
        assert (np.asarray(pipe.run(result.recipe).image) == given).all()
        handle.detach()
        assert pipe("a red boat", **QUICK).recipe.adapters == (lora,)
    assert pipe("a red boat", **QUICK).recipe.adapters == ()
    assert (pixels(pipe) == base).all()


@settings(max_examples=12)
@given(
    st.lists(st.tuples(st.sampled_from(["attention", "convolution", "words", "all"]), st.floats(-2, 2)), max_size=4),
    st.randoms(),
)
def test_attached_and_detached_in_any_order_the_base_is_what_it_was(pipe, files, chosen, order: random.Random):
    before = state(pipe)
    stage = pipe.stage
    x, t = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor(0.5)
    condition = stage.encode([Recipe("a boat")])
    base = stage.denoiser(x, t, condition).eps
    turns = list(range(len(chosen)))
    order.shuffle(turns)  # before anything is attached: an example may be given up here
    attached = [pipe.attach(LoRA(files[name], weight)) for name, weight in chosen]
    handles = [attached[turn] for turn in turns]
    while handles:
        asked = pipe.resolve(Recipe("a boat", model=pipe.name)).adapters
        pipe.adapted(asked).denoiser(x, t, condition)
        handles.pop().detach()
    assert unchanged(pipe, before)
    assert torch.equal(stage.denoiser(x, t, condition).eps, base)


@pytest.fixture(scope="module")
def trained(pipe, tiny_model, tmp_path_factory) -> dict[str, list[Adapter]]:
    """What every method of training leaves beside a model, its numbers drawn; each with a word of its own."""
    options = {
        "lora": {"text": True}, "lokr": {"convolutions": True},
    }  # fmt: skip
    sections = {kind: METHODS[kind](**options.get(kind, {})) for kind in METHODS if kind != "dreambooth"}
    sections["dora"] = METHODS["lora"](dora=True, text=True)
    found = {}
    for kind, section in sections.items():
        folder, chance = tmp_path_factory.mktemp(kind), torch.Generator().manual_seed(0)
        subject = Subject(f"{kind} boat", "", pipe.stage.networks, "unet", tiny_model, chance)
        learner = section.begin(subject)
        with torch.no_grad():
            for parameter in learner.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=chance)
        learner.save(folder)
        found[kind] = adapters_in(folder, allow_pickle=True)
    assert {each.kind for all_of_it in found.values() for each in all_of_it} == set(Adapter.registry)
    return found


def test_adapters_of_every_kind_a_hundred_times_in_any_order(pipe, trained):
    """Attached in one order and detached in another, some of them in a network, and others in it within."""
    before, chance = state(pipe), random.Random(0)
    stage = pipe.stage
    x, t = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor(0.5)
    condition = stage.encode([Recipe("a lora boat")])
    base = stage.denoiser(x, t, condition).eps
    modules = [vars(module) for network in stage.networks.values() for module in network.modules()]
    keys = [sorted(each) for each in modules]
    pairs = [tuple(found) for found in trained.values()]
    pairs += [(*trained[one], *trained[other]) for one, other in (chance.sample(sorted(trained), 2) for _ in range(3))]
    swaps = []
    for pair in pairs:
        adapted = pipe.adapted(pair)
        adaptation = adapted.denoiser.adaptation
        words = "a boat" if adaptation.words is None else next(iter(adaptation.words.ids))
        assert not torch.equal(adapted.denoiser(x, t, adapted.encode([Recipe(words)])).eps, base)
        swaps.append((adaptation.reading, adaptation.painting(0.5)))
    for _ in range(100):
        handles = [pipe.attach(each) for each in chance.choice(pairs)]
        assert len(pipe.resolve(Recipe("a boat", model=pipe.name)).adapters) == len(handles)
        (reads, paints), (others_read, others_paint) = chance.sample(swaps, 2)
        with paints, reads, others_paint, others_read, paints:
            assert [sorted(each) for each in modules] != keys or not unchanged(pipe, before)
        for handle in chance.sample(handles, len(handles)):
            handle.detach()
    assert unchanged(pipe, before)
    assert [sorted(each) for each in modules] == keys
    assert torch.equal(stage.denoiser(x, t, condition).eps, base)


def test_it_is_in_only_while_the_network_is_asked_also_where_the_run_is_cancelled(pipe, files):
    before = state(pipe)
    steps = pipe.steps("a red boat", adapters=[LoRA(files["all"])], **QUICK)
    next(steps)
    assert unchanged(pipe, before)
    steps.close()
    assert unchanged(pipe, before)


def test_it_acts_within_its_interval_and_known_keys_and_values_are_noticed(pipe, files, tiny_model):
    stage = pipe.stage
    adapted = pipe.adapted((LoRA(files["attention"], interval=(0.4, 0.8)),))
    whole = merged(tiny_model, files["attention"], 1.0).stage
    condition = stage.encode([Recipe("a boat")])
    x = torch.randn(1, 4, 16, 16)
    with torch.no_grad():
        for t in (0.9, 0.6, 0.6, 0.2, 0.5):
            expected = (whole if 0.4 <= t <= 0.8 else stage).denoiser(x, torch.tensor(t), condition).eps
            assert torch.equal(adapted.denoiser(x, torch.tensor(t), condition).eps, expected)


def test_blocks_have_weights_of_their_own(pipe, files):
    from sfumato.adapt.adaptation import Adaptation

    networks = pipe.stage.networks
    plain = Adaptation(networks, [LoRA(files["all"])])
    mute = Adaptation(networks, [LoRA(files["all"], blocks={"text": 0, "unet": 0, "up": 1, "up.0": 0})])
    assert plain.reading.places
    assert not mute.reading.places
    changed = {id(where) for where, _, _ in mute.painting(0.5).places}
    modules = {id(module._parameters): name for name, module in networks["unet"].named_modules()}
    assert changed
    assert {modules[place].rpartition(".")[0][:11] for place in changed} == {"up_blocks.1"}
    with pytest.raises(BadInput, match="There is no block 'sideways'"):
        Adaptation(networks, [LoRA(files["all"], blocks={"sideways": 0})])


def test_a_recipe_holds_no_path_and_takes_none(pipe, files):
    recipe = Recipe("a boat", adapters=[LoRA(files["all"], 0.5, {"mid": 0.2})])
    text = recipe.to_json()
    assert str(files["all"].parent) not in text
    assert Recipe.from_json(text) == recipe
    sha = recipe.adapters[0].file.sha256
    for other in (str(files["all"]), "../all.safetensors"):
        with pytest.raises(BadInput, match="adapters"):
            Recipe.from_json(text.replace('"name":"all.safetensors"', f'"name":"{other}"'))
        with pytest.raises(BadInput, match="adapters"):
            Recipe.from_json(text.replace(f'{{"name":"all.safetensors","sha256":"{sha}"}}', f'"{other}"'))


def test_redo_finds_the_file_or_says_what_is_other(pipe, files, tmp_path, monkeypatch):
    from sfumato.adapt import file as adapter_file
    from sfumato.adapt import open_file, read

    def forget() -> None:  # as another process begins
        adapter_file._places.clear()
        read.contents.cache_clear()

    own = made(pipe, tmp_path / "mine.safetensors", {"unet": ("attn2.to_k",)}, 7)
    result = pipe("a red boat", adapters=[LoRA(own)], **QUICK)
    result.save(tmp_path / "a.png")
    forget()
    assert redo(tmp_path / "a.png").identical
    moved = own.rename(tmp_path / "elsewhere.safetensors")
    forget()
    with pytest.raises(BadInput, match=r"mine.safetensors \([0-9a-f]{12}\) is not on this machine"):
        redo(tmp_path / "a.png")
    assert redo(tmp_path / "a.png", files=[open_file(moved)]).identical
    moved.unlink()
    forget()
    other = made(pipe, own, {"unet": ("attn2.to_v",)}, 8)
    monkeypatch.setenv("SFUMATO_LORAS", str(tmp_path))
    with pytest.raises(BadInput, match="is another file here than the recipe's"):
        redo(tmp_path / "a.png")
    found = redo(tmp_path / "a.png", files=[open_file(other)])
    assert not found.identical
    assert found.reason.startswith("another mine.safetensors (")
    with pytest.raises(BadInput, match="belongs to no adapter"):
        redo(tmp_path / "a.png", files=[open_file(other), open_file(files["all"])])


def test_a_prompt_names_files_as_a1111_writes_them(pipe, files, tmp_path, monkeypatch):
    (tmp_path / "loras").mkdir()
    (tmp_path / "loras" / "me.safetensors").write_bytes(files["all"].read_bytes())
    monkeypatch.chdir(tmp_path)
    result = pipe("a red boat <lora:me:0.5>", **QUICK)
    assert result.recipe.prompt == "a red boat"
    assert result.recipe.adapters == (LoRA(tmp_path / "loras" / "me.safetensors") * 0.5,)
    assert (np.asarray(result.image) == pixels(pipe, adapters=[LoRA(files["all"]) * 0.5])).all()
    split = pipe.recipes("<lora:me:0.8:0.5> a boat")[0].adapters[0]
    assert dict(split.blocks) == {"text": 0.8, "unet": 0.5}  # type: ignore[attr-defined]
    assert pipe.recipes("a boat <lora:me:te=0.2>")[0].adapters[0] == replace(result.recipe.adapters[0], weight=0.2)
    with pytest.raises(BadInput, match=r"no 'you' among the loras.*put it into"):
        pipe("a boat <lora:you:1>")
    with pytest.raises(BadInput, match="gives 'much' as a weight"):
        pipe("a boat <lora:me:much>")


def test_a1111_reads_what_was_added(files):
    from sfumato.recipe import parameters

    text = parameters(Recipe("a boat", adapters=[LoRA(files["all"]) * 0.5]))
    assert text.startswith("a boat <lora:all:0.5>\n")
    assert 'Lora hashes: "all: ' in text
