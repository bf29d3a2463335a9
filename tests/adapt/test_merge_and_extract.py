"""Adapters baked in, and taken out of fine-tuned models again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import sfumato
from sfumato.adapt import LoRA
from sfumato.adapt.families import FAMILIES
from sfumato.adapt.layers import changes
from sfumato.adapt.read import Contents
from sfumato.adapt.svd import extract, halves, resize
from sfumato.adapt.write import write
from sfumato.model.adapted import adapted
from sfumato.model.merge import merge
from sfumato.picture import BadInput
from sfumato.recipe import Recipe


def answer(stage: Any) -> torch.Tensor:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    condition = stage.encode([Recipe(prompt="a boat")])
    with torch.no_grad():
        return stage.denoiser.output(x, torch.tensor([0.5], dtype=torch.float64), condition)


@pytest.fixture
def made(tiny_model, tmp_path) -> Path:
    """A LoRA of rank 3 of an attention's keys, of a convolution and of a text encoder's queries."""
    networks = sfumato.load(tiny_model).stage.networks
    generator = torch.Generator().manual_seed(0)
    layers = {}
    for part, match in (("unet", "attn2.to_k"), ("unet", "conv_out"), ("text_encoder", "q_proj")):
        name, module = next((n, m) for n, m in networks[part].named_modules() if n.endswith(match))
        weight: Any = module.weight
        fresh = FAMILIES["lora"].fresh(weight, 3, generator)
        fresh["up"] = 0.3 * torch.randn(fresh["up"].shape, generator=generator)
        layers[part, name] = fresh | {"alpha": torch.tensor(2.0)}
    write(tmp_path / "made.safetensors", FAMILIES["lora"], layers, networks, {})
    return tmp_path / "made.safetensors"


def test_what_is_baked_in_is_what_is_added(tiny_model, made, tmp_path):
    merged = merge(tiny_model, [LoRA(made) * 0.7], tmp_path / "merged")
    added = adapted(sfumato.load(tiny_model).stage, (LoRA(made) * 0.7,))
    assert torch.equal(answer(sfumato.load(merged).stage), answer(added))
    assert not torch.equal(answer(added), answer(sfumato.load(tiny_model).stage))
    before, after = (
        load_file(folder / "unet" / "diffusion_pytorch_model.safetensors") for folder in (tiny_model, merged)
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == 2
    assert {t.dtype for t in after.values()} == {t.dtype for t in before.values()}
    with pytest.raises(BadInput, match="is there already"):
        merge(tiny_model, [LoRA(made)], tmp_path / "merged")


def test_what_was_baked_in_is_extracted_whole_at_its_rank_and_nearly_below(tiny_model, made, tmp_path):
    base = sfumato.load(tiny_model).stage
    tuned = sfumato.load(merge(tiny_model, [LoRA(made)], tmp_path / "merged")).stage
    found = extract(base.networks, tuned.networks, 3, tmp_path / "three.safetensors")
    assert (found.layers, found.other) == (3, ())
    assert found.kept == pytest.approx(1, abs=1e-5)
    again = adapted(base, (LoRA(tmp_path / "three.safetensors"),))
    torch.testing.assert_close(answer(again), answer(tuned), rtol=0, atol=2e-4)
    assert extract(base.networks, tuned.networks, 1, tmp_path / "one.safetensors").kept < 0.9
    with pytest.raises(BadInput, match="nothing to extract"):
        extract(base.networks, base.networks, 1, tmp_path / "none.safetensors")


@pytest.mark.parametrize("shape", [(7, 5), (4, 6, 3, 3)])
def test_halves_are_the_nearest_of_their_rank(shape):
    difference = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for rank in (1, 2, 4):
        found, some, whole = halves(difference, rank)
        near: Any = FAMILIES["lora"].delta(found, difference)
        left = difference - near
        values = torch.linalg.svdvals(difference.flatten(1))
        assert float(left.square().sum()) == pytest.approx(float(values[rank:].square().sum()), rel=1e-4, abs=1e-6)
        assert some + float(left.square().sum()) == pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize("family", ["lora", "loha", "lokr"])
def test_an_adapter_of_any_family_is_resized(tiny_model, tmp_path, family):
    networks = sfumato.load(tiny_model).stage.networks
    name, module = next((n, m) for n, m in networks["unet"].named_modules() if n.endswith("attn1.to_q"))
    weight: Any = module.weight
    generator = torch.Generator().manual_seed(0)
    tensors = {
        k: torch.randn(t.shape, generator=generator) for k, t in FAMILIES[family].fresh(weight, 2, generator).items()
    }
    file = tmp_path / "wide.safetensors"
    write(file, FAMILIES[family], {("unet", name): tensors}, networks, {})
    read = changes(Contents(load_file(file), {}), networks, "wide")
    resize(read, networks, min(weight.shape), tmp_path / "whole.safetensors")
    whole = changes(Contents(load_file(tmp_path / "whole.safetensors"), {}), networks, "whole")[0]
    true: Any = FAMILIES[family].delta(tensors, weight)
    torch.testing.assert_close(
        whole.family.delta(whole.tensors, weight), true, rtol=1e-3, atol=1e-3 * float(true.abs().max())
    )
