"""CompVis' unconditional latent diffusion (Rombach et al. 2022, section 4.2): unet, vqvae and scheduler."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import U_NET
from sfumato.formats.format import FORMATS, Format
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import DDIM

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vqvae", "scheduler")
UNET = {name: U_NET[name] for name in ("class_embed_type", "num_class_embeds", "time_embedding_type")}
AUTOENCODER = {"norm_type": "group", "lookup_from_codebook": False}
SUITS = Suits(steps=50, guidance=(), sampler=DDIM())


class UnconditionalLatents(Format):
    """A U-Net of a vector-quantised autoencoder's latents, told nothing."""

    title = "unconditional latent diffusion"
    pipelines = ("LDMPipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(suits=SUITS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.denoise import Preconditioned
        from sfumato.formats.scheduler_config import noise_schedule
        from sfumato.network.unet2d import UNet2DBackbone
        from sfumato.space.deterministic import Deterministic
        from sfumato.stage import Stage

        parts.check_others(*READ)
        schedule, parameterization = noise_schedule(parts.scheduler(), parts.model)
        unet = parts.network("unet", "UNet2DModel", UNET)
        space = Deterministic(parts.network("vqvae", "VQModel", AUTOENCODER), engine)
        takes, gives, side = (unet.config[name] for name in ("in_channels", "out_channels", "sample_size"))
        if takes != space.channels or gives != takes:
            raise BadInput(
                f"The unet of {parts.model} turns {takes} channels into {gives}: for its vqvae it must be "
                f"{space.channels} into as many."
            )
        if not isinstance(side, int) or not 1 <= side * space.factor <= 4096:
            raise BadInput(f"The unet of {parts.model} has sample_size {side!r}: give one number.")
        return Stage(
            "picture",
            space,
            Preconditioned(UNet2DBackbone(unet, engine, None, space.channels), schedule, parameterization),
            size=(side * space.factor, side * space.factor),
            multiple=math.lcm(space.factor * 2 ** (len(unet.config["block_out_channels"]) - 1), 4),
            networks=parts.networks,
            device=parts.device,
            suits=SUITS,
        )


FORMATS.add("latent-diffusion", UnconditionalLatents())
