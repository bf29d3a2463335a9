"""Stable Diffusion 1 and 2: `model_index.json` with unet, vae, text_encoder, tokenizer and scheduler.

A U-Net of 2C + 1 input channels (9) was trained to inpaint and is shown what is held: see `sfumato.model.masked`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sfumato.condition import Condition
from sfumato.denoise import Preconditioned
from sfumato.engine import Engine, UNetBackbone
from sfumato.model.given import NOTHING, Given
from sfumato.model.load.parts import Parts
from sfumato.model.masked import shown
from sfumato.model.pipe import Stage
from sfumato.model.space import Latent
from sfumato.model.text import ClipText
from sfumato.model.words import words_of
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.prompt_schedule import periods
from sfumato.times import grid


def stable_diffusion(parts: Parts, execute: Engine) -> tuple[Stage, tuple[int, int], int]:
    """A latent U-Net conditioned on words, and on what is held if it inpaints (Rombach et al. 2022, section 4.5)."""
    unet = parts.load("unet", "UNet2DConditionModel")
    space = Latent(parts.load("vae", "AutoencoderKL"), execute)
    tokenizer = parts.load("tokenizer", "CLIPTokenizer", "CLIPTokenizerFast")
    text = ClipText(parts.load("text_encoder", "CLIPTextModel"), tokenizer, execute)
    denoiser = Preconditioned(UNetBackbone(unet, execute, space.channels), *parts.schedule())

    side = int(unet.config["sample_size"]) * space.factor
    inpaints = _inpaints(parts, unet.config["in_channels"], space.channels)

    def encode(recipes: Sequence[Recipe], given: Given = NOTHING) -> Condition:
        first, strength = recipes[0], getattr(recipes[0].start, "strength", 1.0)
        words = text.scheduled(recipes, grid(first.times, first.steps, denoiser.schedule, strength))
        if not inpaints:
            return Condition((words,))
        size = (first.width or side, first.height or side)
        return Condition((words, shown(space, given, size, len(recipes))))

    def chunks(recipe: Recipe) -> int:
        asked = (recipe.prompt, recipe.negative, recipe.attention.source if recipe.attention else "")
        return max(len(text.chunks(words)) for prompt in asked for _, words in periods(prompt, recipe.steps))

    multiple = space.factor * 2 ** (len(unet.config["block_out_channels"]) - 1)
    words = partial(words_of, text)
    stage = Stage("picture", space, denoiser, encode, chunks=chunks, inpaints=inpaints, words=words)
    return stage, (side, side), multiple


def _inpaints(parts: Parts, takes: int, channels: int) -> bool:
    """Whether the network sees the mask and the masked picture beside the latents."""
    accepted = {channels: False, 2 * channels + 1: True}
    if takes not in accepted:
        raise BadInput(
            f"The network in {parts.folder} takes {takes} channels; accepted are {channels} (text to image) and "
            f"{2 * channels + 1} (inpainting: latents, mask, latents of the masked picture)."
        )
    return accepted[takes]
