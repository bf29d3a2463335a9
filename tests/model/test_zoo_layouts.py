"""The built-in models that are told what lies where keep to it, and are what stock diffusers reads."""

from __future__ import annotations

import pytest
import torch

import sfumato
from sfumato.evaluate.adherence import run_adherence
from sfumato.zoo import place
from sfumato.zoo.find import find


@pytest.mark.parametrize("model", ["mini-scene", "mini-spatext"])
def test_a_layout_is_kept_to(model):
    """More than half of the way from pictures without it to true ones, of four pictures."""
    if not place(model).is_dir():
        pytest.skip("the miniature is not in this checkout")
    report = run_adherence(model, [], layout=True, count=4, steps=8, json=True)
    assert report["adherence"][0]["closed"] > 0.5


@pytest.mark.parametrize("model", ["mini-scene", "mini-spatext"])
def test_stock_diffusers_reads_its_network(model):
    if not place(model).is_dir():
        pytest.skip("the miniature is not in this checkout")
    from diffusers import UNet2DConditionModel

    stock = UNet2DConditionModel.from_pretrained(find(model) / "unet", torch_dtype=torch.float32)
    ours = sfumato.load(model).stage.networks["unet"]
    for name, weight in stock.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], weight, rtol=0, atol=0)
