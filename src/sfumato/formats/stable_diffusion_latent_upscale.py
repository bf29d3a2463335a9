"""Stable Diffusion's latent upscaler: the latents of a picture of half the size stand beside the noise, enlarged.

What it answers is preconditioned as in Karras et al. 2022 (table 1) of data of deviation 1: x0 = alpha x + sigma F,
which is minus a velocity.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import AUTOENCODER, U_NET
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.scheduler_config import noise_schedule
from sfumato.formats.unet_stage import clip_text_of, refuse_parts, trained_size
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
UNET = {**U_NET, "time_embedding_type": "fourier"}
SCALE = 2
SUITS = Suits(guidance=())
"""Its makers guide by nothing."""


class StableDiffusionLatentUpscale(Format):
    """A U-Net of latents, beside which stand those of the small picture."""

    title = "Stable Diffusion's latent upscaler"
    pipelines = ("StableDiffusionLatentUpscalePipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, joint=True, references=1, suits=SUITS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.denoise import Preconditioned
        from sfumato.encode.enlarged_latents import EnlargedLatents
        from sfumato.network.latent_upscaler import LEVEL, latent_upscaler
        from sfumato.space import Latent
        from sfumato.stage import Stage

        refuse_parts(parts, READ)
        schedule, predicts = noise_schedule(parts.scheduler(), parts.model)
        unet = parts.network("unet", "UNet2DConditionModel", UNET)
        space = Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine)
        text = clip_text_of(parts, engine, normed=False, pooled=True)
        parts.check_width("unet", unet.config["cross_attention_dim"], text.width)
        takes, gives, told = (unet.config[name] for name in ("in_channels", "out_channels", "time_cond_proj_dim"))
        channels, wanted = space.channels, text.width + LEVEL
        if (takes, gives, told) != (2 * channels, channels + 1, wanted) or predicts != "x0":
            raise BadInput(
                f"The unet of {parts.model} turns {takes} channels into {gives}, is told {told} numbers with its time "
                f"(time_cond_proj_dim) and predicts {predicts}: a latent upscaler of its vae and text_encoder turns "
                f"{2 * channels} into {channels + 1}, is told {wanted} and predicts x0 (prediction_type sample)."
            )
        backbone = latent_upscaler(unet, engine, channels)
        return Stage(
            "upscale",
            space,
            Preconditioned(backbone, schedule, "edm", "edm", sigma_data=1.0),
            (text, EnlargedLatents(space, SCALE)),
            size=trained_size(unet.config["sample_size"], space.factor, parts),
            multiple=space.factor * 2 ** (len(unet.config["block_out_channels"]) - 1),
            scale=SCALE,
            networks=parts.networks,
            suits=SUITS,
            device=parts.device,
        )


FORMATS.add("stable-diffusion-latent-upscale", StableDiffusionLatentUpscale())
