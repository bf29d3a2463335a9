"""A whole run on a second device: everything moves there together, and the pixels are those of the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from second_device import Elsewhere, networks_there, second_device

import sfumato
from sfumato import (
    RK45,
    Between,
    ClassifierFree,
    DPMAdaptive,
    EditFriendly,
    Inferred,
    Inverted,
    LoRA,
    LowPass,
    Outside,
    PerturbedAttention,
    Poisson,
    PromptToPrompt,
    Region,
    SDEdit,
)

SIZE = (32, 32)


def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 3), np.uint8)
    return Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC)


def mask() -> Image.Image:
    made = Image.new("L", SIZE)
    made.paste(255, (16, 0, 32, 32))
    return made


def test_tensors_of_two_devices_do_not_meet():
    with second_device():
        there = torch.ones(3).to("meta")
        assert isinstance(there, Elsewhere)
        assert there.device.type == torch.zeros(2, device="meta").device.type == "meta"
        assert (there * 2).cpu().tolist() == [2, 2, 2]
        assert float(there.sum()) == 3
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.ones(3)


ROUGH = {"rk45": RK45(1.0, 1.0), "dpm-adaptive": DPMAdaptive(2, 1.0, 1.0)}
SAMPLERS = ("unipc", "rk45", "dpm-adaptive", "predictor-corrector", "dpmpp-sde", "plms")
NAMES = (
    *(
        "words",
        "sdedit",
        "outside",
        "inverted",
        "diffedit",
        "low pass",
        "prompt to prompt",
        "regions",
        "regions, mixed",
    ),
    *("latent", *(f"sampler {name}" for name in SAMPLERS)),
)


def edits() -> dict[str, dict[str, Any]]:
    return {
        "words": {"guidance": [ClassifierFree(4.0), PerturbedAttention(2.0)]},
        "sdedit": {"start": SDEdit(picture(), 0.6), "sampler": "dpmpp-2m-sde"},
        "outside": {
            "start": SDEdit(picture(), 0.8),
            "hold": Outside(mask(), grow=2.0, feather=3.0, dilation=4.0),
            "composite": Poisson(),
        },
        "inverted": {"start": Inverted(picture(), 0.6, "a cat", 1), "sampler": "ddim"},
        "diffedit": {"start": Inverted(picture(), 0.6, "a cat"), "hold": Inferred("a cat", draws=2), "sampler": "ddim"},
        "low pass": {"hold": LowPass(4.0, 0.2, picture())},
        "prompt to prompt": {"attention": PromptToPrompt("a blue hat", blend=("hat",))},
        "regions": {"regions": [Region("a boat", box=(0, 0, 0.5, 1)), Region("a cat", mask())]},
        "regions, mixed": {"regions": [Region("a boat", box=(0, 0, 0.5, 1))], "regional": "mixing"},
        "edit friendly": {"start": EditFriendly(picture(), 0.6, "a cat"), "sampler": "ddpm"},
        "between": {"start": Between(picture(), picture().rotate(90), 0.4, 0.6), "sampler": "ddim"},
        "null text": {"start": Inverted(picture(), 0.6, "a cat", 1, null=1), "sampler": "ddim"},
        "latent": {"start": SDEdit(picture(), 0.6), "hold": Outside(mask()), "composite": "latent"},
        **{f"sampler {name}": {"sampler": ROUGH.get(name, name)} for name in SAMPLERS},
    }


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_those_of_the_cpu(tiny_model: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    networks_there(monkeypatch)
    asked = {"steps": 3, "seed": 4, "width": SIZE[0], "height": SIZE[1], **edits()[name]}
    wanted = sfumato.load(tiny_model)("a red hat", **asked).image
    pipe = sfumato.load(tiny_model, device="meta")
    assert all(isinstance(weight.data, Elsewhere) for weight in pipe.stage.networks["unet"].parameters())
    with second_device():
        got = pipe("a red hat", **asked).image
    assert np.abs(np.asarray(got, int) - np.asarray(wanted, int)).max() <= 1


def test_nine_channels_and_a_lora(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The planes beside the latents and the tensors of adapters move too."""
    from random_model import TINY, build
    from safetensors.torch import save_file

    folder = build(tmp_path / "nine", shape=TINY, beside=5)
    here = sfumato.load(folder)
    name, layer = next(each for each in here.stage.networks["unet"].named_modules() if each[0].endswith("attn2.to_q"))
    down, up = torch.randn(2, layer.in_features), torch.randn(layer.out_features, 2)
    save_file({f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}, tmp_path / "lora.safetensors")
    asked = {
        "start": SDEdit(picture(), 1.0),
        "hold": Outside(mask()),
        "adapters": [LoRA(tmp_path / "lora.safetensors")],
        "steps": 2,
        "seed": 4,
        "width": SIZE[0],
        "height": SIZE[1],
    }
    wanted = here("a red hat", **asked).image
    networks_there(monkeypatch)
    there = sfumato.load(folder, device="meta")
    with second_device():
        got = there("a red hat", **asked).image
    assert np.abs(np.asarray(got, int) - np.asarray(wanted, int)).max() <= 1
