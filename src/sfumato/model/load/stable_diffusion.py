"""Stable Diffusion 1 and 2: `model_index.json` with unet, vae, text_encoder, tokenizer and scheduler."""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.condition import Condition
from sfumato.denoise import Preconditioned
from sfumato.engine import Engine, UNetBackbone
from sfumato.model.given import NOTHING, Given
from sfumato.model.load.parts import Parts
from sfumato.model.pipe import Stage
from sfumato.model.space import Latent
from sfumato.model.text import ClipText
from sfumato.recipe import Recipe


def stable_diffusion(parts: Parts, execute: Engine) -> tuple[Stage, tuple[int, int], int]:
    """A latent U-Net conditioned on words (Rombach et al. 2022)."""
    unet = parts.load("unet", "UNet2DConditionModel")
    space = Latent(parts.load("vae", "AutoencoderKL"), execute)
    tokenizer = parts.load("tokenizer", "CLIPTokenizer", "CLIPTokenizerFast")
    text = ClipText(parts.load("text_encoder", "CLIPTextModel"), tokenizer, execute)
    denoiser = Preconditioned(UNetBackbone(unet, execute), *parts.schedule())

    def encode(recipes: Sequence[Recipe], given: Given = NOTHING) -> Condition:
        return Condition((text([r.prompt for r in recipes], [r.negative for r in recipes]),))

    side = int(unet.config["sample_size"]) * space.factor
    multiple = space.factor * 2 ** (len(unet.config["block_out_channels"]) - 1)
    return Stage("picture", space, denoiser, encode), (side, side), multiple
