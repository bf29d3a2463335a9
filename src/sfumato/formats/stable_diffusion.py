"""Stable Diffusion 1 and 2: `model_index.json` with unet, vae, text_encoder, tokenizer and scheduler.

A U-Net of 2C + 1 input channels (9) was trained to inpaint and sees what is held: `sfumato.encode.masked_picture`.
Without a vae, and with patches/config.json, it is one of pixels, as `sfumato.train.tasks.text_pixels` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sfumato.condition import Condition
from sfumato.denoise import Preconditioned
from sfumato.encode.clip_text import ClipText
from sfumato.encode.masked_picture import shown
from sfumato.encode.token_spans import words_of
from sfumato.formats.parts import Parts
from sfumato.network import Engine, UNetBackbone
from sfumato.picture import BadInput
from sfumato.picture.errors import name_of
from sfumato.recipe import Recipe
from sfumato.recipe.conjunction import conjuncts
from sfumato.recipe.prompt_schedule import periods
from sfumato.space import Latent, Pixel, Space
from sfumato.stage import Stage
from sfumato.times import grid
from sfumato.zoo.folder import parts_of, read_json

MOST = 64  # pixels along the side of a patch


def stable_diffusion(parts: Parts, execute: Engine) -> tuple[Stage, tuple[int, int], int]:
    """A U-Net conditioned on words, and on what is held if it inpaints (Rombach et al. 2022, section 4.5)."""
    unet = parts.load("unet", "UNet2DConditionModel")
    space, patch = _space(parts, execute)
    tokenizer = parts.load("tokenizer", "CLIPTokenizer", "CLIPTokenizerFast")
    text = ClipText(parts.load("text_encoder", "CLIPTextModel"), tokenizer, execute)
    denoiser = Preconditioned(UNetBackbone(unet, execute, space.channels, patch), *parts.schedule())

    cell = space.factor * patch
    side = int(unet.config["sample_size"]) * cell
    inpaints = _inpaints(parts, unet.config["in_channels"] / patch**2, space.channels)

    def encode(recipes: Sequence[Recipe], given: Any = None) -> Condition:
        first, strength = recipes[0], getattr(recipes[0].start, "strength", 1.0)
        words = text.scheduled(recipes, grid(first.times, first.steps, denoiser.schedule, strength))
        if not inpaints:
            return Condition((words,))
        size = (first.width or side, first.height or side)
        return Condition((words, shown(space, given, size, len(recipes))))

    def chunks(recipe: Recipe) -> int:
        others = (recipe.negative, recipe.attention.source if recipe.attention else "")
        asked = [*(prompt for prompt, _ in conjuncts(recipe.prompt)), *others]
        return max(len(text.chunks(words)) for prompt in asked for _, words in periods(prompt, recipe.steps))

    multiple = cell * 2 ** (len(unet.config["block_out_channels"]) - 1)
    words = partial(words_of, text)
    stage = Stage("picture", space, denoiser, encode, chunks=chunks, inpaints=inpaints, words=words)
    return stage, (side, side), multiple


def _space(parts: Parts, execute: Engine) -> tuple[Space, int]:
    """Where the network diffuses, and the side of the patches that it sees there."""
    said = parts.folder / "patches" / "config.json"
    if "vae" in parts_of(parts.folder) or not said.is_file():
        return Latent(parts.load("vae", "AutoencoderKL"), execute), 1
    side = read_json(said).get("side")
    if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= MOST:
        raise BadInput(f"{name_of(said)} must say the side of a patch, from 1 to {MOST}: write the folder again.")
    return Pixel(), side


def _inpaints(parts: Parts, takes: float, channels: int) -> bool:
    """Whether the network sees the mask and the masked picture beside x; `takes` counts the channels of a cell."""
    accepted: dict[float, bool] = {channels: False, 2 * channels + 1: True}
    if takes not in accepted:
        raise BadInput(
            f"The network in {parts.folder} takes {takes:g} channels; accepted are {channels} (text to image) and "
            f"{2 * channels + 1} (inpainting: latents, mask, latents of the masked picture)."
        )
    return accepted[takes]
