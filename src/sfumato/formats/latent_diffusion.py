"""CompVis' latent diffusion of a `UNet2DModel` (Rombach et al. 2022): unet, vqvae and scheduler. Unconditional (section
4.2), of a class where the network embeds classes, or of a small picture beside the noise, which is made as many times
larger as a cell has pixels (section 4.4)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import U_NET
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.labels import check_rows, told_labels
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import DDIM

if TYPE_CHECKING:
    from sfumato.encode import Encoder
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vqvae", "scheduler")
COLOURS = 3  # planes that a small picture has
UNET = {name: U_NET[name] for name in ("class_embed_type", "time_embedding_type")}
AUTOENCODER = {"norm_type": "group", "lookup_from_codebook": False}
NOTHING = Capabilities()
SUITS = Suits(steps=50, guidance=(), sampler=DDIM())
ENLARGES = Suits(steps=100, guidance=(), sampler=DDIM())


class UnconditionalLatents(Format):
    """A U-Net of a vector-quantised autoencoder's latents, told nothing or a class."""

    title = "unconditional latent diffusion"
    pipelines = ("LDMPipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return replace(told_labels(folder), suits=SUITS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        return _stage(parts, engine, SUITS, told=told_labels(parts.folder))


class LatentUpscale(Format):
    """The same, shown a small picture as it is."""

    title = "latent diffusion's upscaler"
    pipelines = ("LDMSuperResolutionPipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(references=1, suits=ENLARGES)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        return _stage(parts, engine, ENLARGES, COLOURS)


def _stage(parts: Parts, engine: Engine, suits: Suits, planes: int = 0, told: Capabilities = NOTHING) -> Stage:
    """planes: how many the network sees of a small picture. told: its classes."""
    from sfumato.condition import Label
    from sfumato.denoise import Preconditioned
    from sfumato.encode import ClassLabel, LowResolution
    from sfumato.formats.scheduler_config import noise_schedule
    from sfumato.network.unet2d import UNet2DBackbone
    from sfumato.space.deterministic import Deterministic
    from sfumato.stage import Stage

    parts.check_others(*READ)
    schedule, parameterization = noise_schedule(parts.scheduler(), parts.model)
    unet = parts.network("unet", "UNet2DModel", UNET)
    # the upscaler decodes what it paints as it is, whatever scaling_factor says
    space = Deterministic(parts.network("vqvae", "VQModel", AUTOENCODER), engine, 1.0 if planes else None)
    takes, gives, side = (unet.config[name] for name in ("in_channels", "out_channels", "sample_size"))
    if takes != space.channels + planes or gives != space.channels:
        beside = f", and {planes} beside them," if planes else ""
        raise BadInput(
            f"The unet of {parts.model} turns {takes} channels into {gives}: for its vqvae it must be "
            f"{space.channels}{beside} into {space.channels}."
        )
    if not isinstance(side, int) or not 1 <= side * space.factor <= 4096:
        raise BadInput(f"The unet of {parts.model} has sample_size {side!r}: give one number.")
    backbone = UNet2DBackbone(unet, engine, None, space.channels)
    check_rows(parts, backbone.accepts.get(Label, 0), told)
    encoders: tuple[Encoder, ...] = (LowResolution(space.factor, schedule, 0.0),) if planes else ()
    if told.classes:
        encoders = (ClassLabel(told.classes, told.none),)
    return Stage(
        "upscale" if planes else "picture",
        space,
        Preconditioned(backbone, schedule, parameterization),
        encoders,
        size=(side * space.factor, side * space.factor),
        multiple=math.lcm(space.factor * 2 ** (len(unet.config["block_out_channels"]) - 1), 4),
        scale=space.factor if planes else 1,
        networks=parts.networks,
        device=parts.device,
        suits=suits,
    )


FORMATS.add("latent-diffusion", UnconditionalLatents())
FORMATS.add("latent-diffusion-upscale", LatentUpscale())
