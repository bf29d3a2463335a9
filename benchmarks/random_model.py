"""A model of random weights in the classes, shapes and folder format of `mini`, for what needs no trained weights.

Run: python benchmarks/random_model.py FOLDER
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from sfumato.data import vignettes
from sfumato.formats import ddpm
from sfumato.formats.scheduler_config import scheduler_config
from sfumato.formats.stable_diffusion import model_index
from sfumato.formats.write import save_tokenizer
from sfumato.train.objective.losses import StockObjective
from sfumato.train.tokens import train_tokenizer


@dataclass(frozen=True)
class Shape:
    """Widths of a model; what is not given is mini's."""

    unet: tuple[int, ...] = (64, 112, 192)
    heads: tuple[int, ...] = (1, 2, 3)
    autoencoder: tuple[int, ...] = (32, 64, 96)
    text: int = 192
    layers: int = 4
    window: int = 48
    vocabulary: int = 2048
    groups: int = 16
    size: int = 64


TINY = Shape((32, 64), (2, 4), (16, 32), text=64, layers=2, vocabulary=700, groups=8, size=32)


def build(
    folder: Path,
    parameterization: str = "v",
    shape: Shape | None = None,
    seed: int = 0,
    beside: int = 0,
    patch: int = 0,
) -> Path:
    """Write the model into `folder`; with `beside` = 5 further input channels one that inpaints, with `patch` one of
    pixels, which it sees in patches of that side.

    Random layers answer faintly: the decoder and the cross-attention are made stronger, so that a picture fills its
    range and words matter, and a wrong picture is far from the right one. The encoder is sure of its latents, as a
    trained one nearly is: stock pipelines draw them from its posterior.
    """
    torch.manual_seed(seed)
    shape = shape or Shape()
    tokenizer = words(shape.vocabulary, shape.window)
    vae, encoder = autoencoder(shape), text_encoder(shape, tokenizer)
    cells = shape.size // 2 ** (len(shape.autoencoder) - 1)
    network = unet(shape, shape.size // patch, beside, 3 * patch**2) if patch else unet(shape, cells, beside)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "attn2.to_out.0.weight" in name:
                weight.mul_(8)
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = -30
        vae.decoder.conv_out.weight.mul_(0.5 / vae.decode(torch.randn(4, 4, cells, cells)).sample.std())
    vae.register_to_config(scaling_factor=1.0)

    parts = {"unet": network, "text_encoder": encoder} | ({} if patch else {"vae": vae})
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    save_tokenizer(tokenizer, folder / "tokenizer")
    (folder / "scheduler").mkdir(exist_ok=True)
    scheduler = scheduler_config(StockObjective.model_validate({"parameterization": parameterization}))
    index = model_index("StableDiffusionInpaintPipeline" if beside else "StableDiffusionPipeline")
    texts: dict[str, dict[str, Any]] = {"scheduler/scheduler_config.json": scheduler, "model_index.json": index}
    if patch:
        del index["vae"]
        texts["patches/config.json"] = {"kind": "sfumato-patches", "side": patch}
        (folder / "patches").mkdir()
    for name, value in texts.items():
        (folder / name).write_text(json.dumps(value, indent=2), encoding="utf-8")
    return folder


@cache
def words(vocabulary: int, window: int) -> Any:
    """A tokenizer that learnt the captions of 400 vignettes."""
    captions = [caption for i in range(400) for caption in vignettes.scene(0, i).captions]
    return train_tokenizer(captions, vocabulary, window)


def unet(shape: Shape, cells: int, beside: int = 0, channels: int = 4) -> Any:
    from diffusers import UNet2DConditionModel

    rest = len(shape.unet) - 1
    return UNet2DConditionModel(
        sample_size=cells,
        in_channels=channels + beside,
        out_channels=channels,
        block_out_channels=shape.unet,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * rest),
        up_block_types=(*("CrossAttnUpBlock2D",) * rest, "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=shape.heads,  # pyright: ignore[reportArgumentType]
        cross_attention_dim=shape.text,
        norm_num_groups=shape.groups,
    )


def autoencoder(shape: Shape) -> Any:
    from diffusers import AutoencoderKL

    levels = len(shape.autoencoder)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=shape.autoencoder,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=shape.groups,
        mid_block_add_attention=False,
        sample_size=shape.size,
    )


def text_encoder(shape: Shape, tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            hidden_size=shape.text,
            intermediate_size=4 * shape.text,
            num_hidden_layers=shape.layers,
            num_attention_heads=max(1, shape.text // 48),
            vocab_size=len(tokenizer),
            max_position_embeddings=shape.window,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_pixels(
    folder: Path,
    how: str | None = "time",
    channels: int = 3,
    classes: tuple[str, ...] = ("boat", "cat", "Tree"),
    scheduler: dict[str, Any] | None = None,
    learned: bool = False,
    seed: int = 0,
) -> Path:
    """Write a model of 16 x 16 pixels into `folder`, in the format of `sfumato.formats.ddpm`.

    how: a class is told by "time", by "channels", or (None) not at all. `scheduler` replaces keys of its
    configuration, or all of it where it is no table of betas. Random layers answer faintly: the last one and the
    classes' embeddings are made stronger.
    """
    from diffusers import UNet2DModel

    torch.manual_seed(seed)
    config = {
        "_class_name": "DDPMScheduler",
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "clip_sample": False,
        **(scheduler or {}),
    }
    width = 4 if how == "channels" else 0
    continuous = config["_class_name"] == "ScoreSdeVeScheduler"
    config = scheduler if continuous and scheduler else config
    network = UNet2DModel(
        sample_size=16,
        in_channels=channels + width,
        out_channels=channels * (2 if learned else 1),
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        num_class_embeds=len(classes) + 1 if how == "time" else None,
        time_embedding_type="fourier" if continuous else "positional",
    )
    embedding = torch.nn.Embedding(len(classes) + 1, width) if width else None
    with torch.no_grad():
        network.conv_out.weight.mul_(2)
        if network.class_embedding is not None:
            network.class_embedding.weight.mul_(4)
    pipeline = "ScoreSdeVePipeline" if continuous else "DDPMPipeline"
    rows = None if embedding is None else embedding.weight
    ddpm.write(folder, network, config, pipeline, classes if how else (), rows, torch.float32)
    return folder


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
