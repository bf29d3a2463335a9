"""Adapters through the formats of other tools: the same answers, the same bits, and stock diffusers' and peft's reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_files import make_encoder, make_unet, tensors, written
from safetensors.torch import load_file
from test_stock_lora import FAR, XL, answer, flux, stock, xl_unet

from sfumato.adapt import LoRA, open_file
from sfumato.adapt.adaptation import Adaptation
from sfumato.adapt.convert import ADAPTER_FORMATS, converted
from sfumato.adapt.families import FAMILIES
from sfumato.adapt.kohya_file import lycoris
from sfumato.adapt.layers import changes
from sfumato.adapt.read import Contents, contents
from sfumato.adapt.write import save, write
from sfumato.formats.convert_adapter import convert_adapter
from sfumato.picture import BadInput

ATTENTION, CONVOLUTIONS = ("attn1.to_q", "attn1.to_out.0", "attn2.to_k"), ("conv1", "conv_shortcut", "proj_in")
KINDS: dict[str, dict[str, Any]] = {
    "attention": {"layers": ATTENTION},
    "attention and convolutions": {"layers": (*ATTENTION, *CONVOLUTIONS)},
    "DoRA": {"layers": (*ATTENTION, "conv1"), "dora": True},
    "LoHa": {"family": "loha", "layers": (*ATTENTION, "conv1")},
    "LoKr": {"family": "lokr", "layers": (*ATTENTION, "conv1")},
    "alpha is not the rank": {"layers": ATTENTION, "alpha": 1.5},
    "text encoder": {"layers": ATTENTION, "text": ("q_proj", "out_proj", "fc1"), "alpha": 2.0},
    "ranks of their own": {"layers": (*ATTENTION, "conv2"), "text": ("v_proj",), "ranks": (2, 3, 5), "alpha": 4.0},
}
IDS = torch.tensor([[198, 5, 6, 7, 199]])


def made(path: Path, networks: Mapping[str, Any], *, family: str = "lora", layers: tuple[str, ...] = (),
         text: tuple[str, ...] = (), dora: bool = False, alpha: float | None = None, ranks: tuple[int, ...] = (3,)) -> Path:  # fmt: skip
    """An adapter as it is written after training, its tensors drawn."""
    found, dice = {}, torch.Generator().manual_seed(len(layers))
    for part, ends in (("unet", layers), ("text_encoder", text)):
        for name, module in networks[part].named_modules():
            if not ends or not name.endswith(ends):
                continue
            rank = ranks[len(found) % len(ranks)]
            own = FAMILIES[family].fresh(module.weight, rank, dice)
            own = {key: each + 0.2 * torch.randn(each.shape, generator=dice) for key, each in own.items()}
            if dora:
                lengths = module.weight.flatten(1).norm(dim=1) * (
                    0.7 + 0.6 * torch.rand(len(module.weight), generator=dice)
                )
                own["magnitude"] = lengths.reshape(-1, *[1] * (module.weight.ndim - 1))
            found[part, name] = own | ({} if alpha is None else {"alpha": torch.tensor(alpha)})
    write(path, FAMILIES[family], found, {"modelspec.trigger_phrase": "sks boat"})
    return path


def answers(networks: Mapping[str, Any], path: Path | None) -> list[torch.Tensor]:
    """What U-Net and text encoder say with an adapter in."""
    adaptation = Adaptation(networks, [LoRA(path)] if path else [])
    with torch.no_grad(), adaptation.reading, adaptation.painting(0.5):
        return [answer("sd", networks["unet"]), networks["text_encoder"](IDS).last_hidden_state]


def passed(path: Path, networks: Mapping[str, Any], to: str) -> Path:
    """The file, in another format."""
    target = path.with_name(f"{path.stem}-{to}.safetensors")
    found = converted(contents(open_file(path)), networks, to, path.name)
    save(target, found.tensors, found.header)
    return target


@pytest.fixture(scope="module")
def chains(networks, tmp_path_factory) -> dict[str, dict[str, Path]]:
    """Of every kind ours -> diffusers -> kohya -> LyCORIS, by the format; kohya's scripts read no DoRA."""
    found = {}
    for kind, options in KINDS.items():
        path = made(tmp_path_factory.mktemp("chain") / "ours.safetensors", networks, **options)
        found[kind] = {"ours": path}
        for to in ADAPTER_FORMATS:
            if kind == "DoRA" and to == "kohya":
                continue
            found[kind][to] = path = passed(path, networks, to)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_through_every_format_the_answers_stay_and_back_are_the_bits(chains, networks, kind):
    files = chains[kind]
    base, ours = answers(networks, None), answers(networks, files["ours"])
    assert max((a - b).abs().max() for a, b in zip(base, ours, strict=True)) > FAR
    for to in files:
        for mine, theirs in zip(ours, answers(networks, files[to]), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    first, last = (load_file(files[to]) for to in ("ours", "lycoris"))
    if kind != "LoKr":  # of which peft has other shapes
        assert {key for key in last if not key.endswith(".alpha")} == {k for k in first if not k.endswith(".alpha")}
        assert all(torch.equal(first[key], last[key]) for key in first)
    assert contents(open_file(files["lycoris"])).header["modelspec.trigger_phrase"] == "sks boat"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to", ADAPTER_FORMATS)
def test_in_its_own_format_every_bit_stays(chains, networks, kind, to):
    if to not in chains[kind]:
        with pytest.raises(BadInput, match="DoRA.*kohya's scripts would not read: --to lycoris"):
            passed(chains[kind]["ours"], networks, to)
        return
    before = contents(open_file(chains[kind][to]))
    after = converted(before, networks, to, "a")
    assert {k: v for k, v in before.header.items() if k != "format"} == dict(after.header)
    assert before.tensors.keys() == after.tensors.keys()
    for key, each in before.tensors.items():
        assert (each.shape, each.dtype) == (after.tensors[key].shape, after.tensors[key].dtype)
        assert torch.equal(each, after.tensors[key])


def peft_answer(path: Path) -> list[torch.Tensor]:
    """The answers of stock networks that stock diffusers, or peft itself, has put the file into."""
    from diffusers import StableDiffusionPipeline
    from peft import LoHaConfig, inject_adapter_in_model, set_peft_model_state_dict

    networks: dict[str, Any] = {"unet": make_unet(), "text_encoder": make_encoder()}
    state, alphas, said = StableDiffusionPipeline.lora_state_dict(path, return_lora_metadata=True)
    if any("hada" in key for key in state):
        config = {key.removeprefix("unet."): value for key, value in said.items()}
        assert config.pop("peft_type") == "LOHA"
        own = {key.removeprefix("unet."): value for key, value in state.items()}
        inject_adapter_in_model(LoHaConfig(**config), networks["unet"])
        assert not set_peft_model_state_dict(networks["unet"], own).unexpected_keys
    else:
        networks["unet"].load_lora_adapter(state, prefix="unet", network_alphas=alphas, metadata=said)
        StableDiffusionPipeline.load_lora_into_text_encoder(
            state, alphas, networks["text_encoder"], prefix="text_encoder", metadata=said
        )
    with torch.no_grad():
        return [answer("sd", networks["unet"]), networks["text_encoder"](IDS).last_hidden_state]


@pytest.mark.parametrize("kind", KINDS)
def test_stock_diffusers_and_peft_read_what_is_written(chains, networks, kind):
    pytest.importorskip("peft")
    for mine, theirs in zip(
        answers(networks, chains[kind]["ours"]), peft_answer(chains[kind]["diffusers"]), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
