"""A tiny Stable Diffusion and tiny networks that obey controls, random but for none of their zeros."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stock import image_prompts, stirred


@pytest.fixture(scope="session")
def unet(tiny_model: Path) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(tiny_model / "unet")


@pytest.fixture(scope="session")
def nets(unet: Any, attentive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders: "plain" and "other" ControlNets, "fresh" with its zero convolutions, "union", "t2i" and "ip"."""
    from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter, UNet2DConditionModel

    place = tmp_path_factory.mktemp("nets")
    embedding = {"conditioning_embedding_out_channels": (8, 16)}
    made: dict[str, Any] = {}
    for seed, name in enumerate(("plain", "other", "fresh")):
        torch.manual_seed(seed)
        net = ControlNetModel.from_unet(unet, **embedding, load_weights_from_unet=name == "fresh")
        made[name] = net if name == "fresh" else stirred(net, seed)
    torch.manual_seed(7)
    torch.manual_seed(6)
    crossed = UNet2DConditionModel.from_pretrained(attentive / "unet")
    made["crossed"] = stirred(ControlNetModel.from_unet(crossed, **embedding, load_weights_from_unet=False), 6)
    known = inspect.signature(ControlNetUnionModel.__init__).parameters
    shape = {name: value for name, value in unet.config.items() if name in known and not name.startswith("_")}
    union = ControlNetUnionModel(
        **{**shape, "addition_time_embed_dim": 8, "num_trans_channel": 32, "num_proj_channel": 32, "num_trans_head": 4},
        **embedding,
    )
    made["union"] = stirred(union, 7)
    torch.manual_seed(8)
    channels = tuple(unet.config.block_out_channels)
    made["t2i"] = T2IAdapter(3, channels, num_res_blocks=1, downscale_factor=2, adapter_type="full_adapter")
    for name, net in made.items():
        net.save_pretrained(place / name)
    image_prompts.unet(unet, place / "ip")
    return {name: place / name for name in [*made, "ip"]}


@pytest.fixture(scope="session")
def attentive(tiny_model: Path, unet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with cross-attention in its first block, as Stable Diffusion 1 has it."""
    from diffusers import UNet2DConditionModel

    folder = tmp_path_factory.mktemp("attentive") / "model"
    shutil.copytree(tiny_model, folder)
    down, up = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
    torch.manual_seed(11)
    config = {**unet.config, "down_block_types": down, "up_block_types": up}
    UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")
    return folder


@pytest.fixture(scope="session")
def maps() -> list[Image.Image]:
    """Two maps of 32 x 32 pixels."""
    generator = np.random.default_rng(3)
    return [Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(2)]
