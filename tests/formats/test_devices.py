"""A model is on one device: its networks, what its encoders say, and its space."""

from __future__ import annotations

import pytest
import torch

import sfumato
from sfumato.condition import Part
from sfumato.model.batch import Batch
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.zoo import ZOO

ABSENT = "cuda" if not torch.cuda.is_available() else "cuda:63"


def tensors(part: Part) -> list[torch.Tensor]:
    own = [value for value in vars(part).values() if isinstance(value, torch.Tensor)]
    nested = [value for value in vars(part).values() if isinstance(value, Part)]
    return [*own, *(tensor for each in nested for tensor in tensors(each))]


@pytest.mark.parametrize("kind", ["words", "inpaint", "class", "channels"])
def test_everything_is_on_the_stage_s_device(tiny_model, pixel_model, tmp_path, kind):
    from random_model import TINY, build

    folder = {
        "words": lambda: tiny_model,
        "inpaint": lambda: build(tmp_path / "nine", shape=TINY, beside=5),
        "class": lambda: pixel_model(how="time"),
        "channels": lambda: pixel_model(how="channels"),
    }[kind]()
    pipe = sfumato.load(folder, device="meta")
    stage = pipe.stage
    assert stage.networks
    assert all(p.device.type == "meta" for network in stage.networks.values() for p in network.parameters())
    recipe = pipe.resolve(Recipe(prompt="a boat" if kind in ("words", "inpaint") else "", model=pipe.name))
    batch = Batch(stage, [recipe], stage.size)
    condition = stage.condition(batch)
    found = [tensor for part in condition.parts for tensor in tensors(part)]
    assert found
    assert all(tensor.device.type == "meta" for tensor in found)
    x = batch.like.to("meta")
    said = stage.denoiser(x, torch.tensor(0.5, dtype=torch.float64), condition)
    assert said.x0.device.type == "meta"
    assert stage.space.decode(said.x0).device.type == "meta"
    assert stage.space.encode(torch.zeros(1, 3, *stage.size[::-1])).shape[1] == stage.space.channels


@pytest.mark.parametrize("name", [ABSENT, "gpu", "cuda:-1", "mps:9", "\x1b[2J"])
def test_an_absent_device_is_one_sentence_before_anything_is_read(name, monkeypatch):
    monkeypatch.setattr("sfumato.model.networks.find", None)
    with pytest.raises(BadInput, match="device") as caught:
        sfumato.load(ZOO / "mini", device=name)
    assert "\n" not in str(caught.value)
    assert "damaged" not in str(caught.value)
