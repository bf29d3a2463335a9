"""Stable Diffusion 1 and 2: `model_index.json` with unet, vae, text_encoder, tokenizer and scheduler.

A U-Net of 2C + 1 input channels (9) was trained to inpaint and sees what is held: `sfumato.encode.masked_picture`.
Without a vae, and with patches/config.json, it is one of pixels, which it sees in patches of P x P:
{"kind": "sfumato-patches", "side": P}. With layout/config.json its last input channels are a layout's
(`sfumato.formats.layouts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.config import AUTOENCODER, U_NET
from sfumato.formats.folder import index_of, parts_of, read_json
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.layouts import layouts_of
from sfumato.formats.unet_stage import (
    clip_text_of,
    parts_schedule,
    planes_of,
    refuse_parts,
    told_besides,
    unet_stage,
)
from sfumato.formats.write import copy_part, save_network, write_json, write_scheduler
from sfumato.picture.errors import BadInput, name_of
from sfumato.recipe.capabilities import Capabilities

if TYPE_CHECKING:
    import torch

    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.space import Space
    from sfumato.stage import Stage

MOST = 64  # pixels along the side of a patch
READ = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


class StableDiffusion(Format):
    """A U-Net conditioned on words, and on what is held if it inpaints (Rombach et al. 2022, section 4.5)."""

    title = "Stable Diffusion 1 and 2 (with a UNet2DConditionModel, told words)"
    pipelines = ("LatentConsistencyModelPipeline", "LatentConsistencyModelImg2ImgPipeline")

    def detect(self, folder: Path) -> bool:
        """By its U-Net; and by its pipeline where the U-Net is another network of diffusers', which `read` refuses."""
        kind, pipeline = parts_of(folder).get("unet", ""), str(index_of(folder).get("_class_name"))
        return kind == "UNet2DConditionModel" or (kind.endswith("Model") and pipeline.startswith("StableDiffusion"))

    def capabilities(self, folder: Path) -> Capabilities:
        layouts = layouts_of(folder)
        planes = planes_of(folder, patch_of(folder) or 1) - (layouts.channels if layouts is not None else 0)
        told = Capabilities(text=True, inpaints=planes > 0)
        return replace(told if layouts is None else told | layouts.tells, **told_besides(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.encode import Encoder, MaskedPicture

        refuse_parts(parts, READ)
        schedule = parts_schedule(parts)
        unet = parts.network("unet", "UNet2DConditionModel", U_NET)
        space, patch = _space(parts, engine)
        text = clip_text_of(parts, engine)
        parts.check_width("unet", unet.config["cross_attention_dim"], text.width)
        layouts = layouts_of(parts.folder)
        layout = 0 if layouts is None else layouts.channels
        inpaints = _inpaints(parts, unet.config, patch, space.channels, layout)
        encoders: tuple[Encoder, ...] = (text, MaskedPicture(space)) if inpaints else (text,)
        if layouts is not None:
            encoders = (*encoders, layouts.encoder(parts.folder, space))
        return unet_stage(parts, engine, unet, space, schedule, encoders, patch=patch, layout=layout)


def patch_of(folder: Path) -> int | None:
    """The side of the patches in which a network sees pixels; None for one of latents."""
    said = folder / "patches" / "config.json"
    if "vae" in parts_of(folder) or not said.is_file():
        return None
    side = read_json(said).get("side")
    if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= MOST:
        raise BadInput(f"{name_of(said)} must say the side of a patch, from 1 to {MOST}: write the folder again.")
    return side


def _space(parts: Parts, engine: Engine) -> tuple[Space, int]:
    """Where the network diffuses, and the side of the patches that it sees there."""
    from sfumato.space import Latent, Pixel

    patch = patch_of(parts.folder)
    if patch is not None:
        return Pixel(), patch
    return Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine), 1


def _inpaints(parts: Parts, config: Mapping[str, Any], patch: int, channels: int, layout: int = 0) -> bool:
    """Whether the network sees the mask and the masked picture beside x; channels are those of a cell, of which its
    `layout` comes last."""
    takes, gives = config["in_channels"] / patch**2 - layout, config["out_channels"] / patch**2
    if takes not in (channels, 2 * channels + 1):
        raise BadInput(
            f"The network in {parts.folder} takes {takes:g} channels; accepted are {channels} (text to image) and "
            f"{2 * channels + 1} (inpainting: latents, mask, latents of the masked picture)"
            f"{f', beside the {layout} of its layout' if layout else ''}."
        )
    if gives != channels:
        raise BadInput(f"The network in {parts.folder} answers {gives:g} channels; accepted are {channels}.")
    return takes != channels


def model_index(pipeline: str = "StableDiffusionPipeline") -> dict[str, object]:
    """model_index.json of a Stable Diffusion pipeline made of these parts."""
    import diffusers

    return {
        "_class_name": pipeline,
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def write(
    export: Path,
    unet: Any,
    copied: Mapping[str, Path],
    scheduler: Mapping[str, object],
    pipeline: str = "StableDiffusionPipeline",
    dtype: torch.dtype | None = None,
    patch: int = 1,
) -> None:
    """Writes the folder that `StableDiffusion` reads: unet/ in `dtype`, the parts whose folders are `copied` (by
    `copy_part`), scheduler/, model_index.json and, where no vae is among them, patches/: the network is one of pixels
    then."""
    save_network(unet, export / "unet", dtype)
    for name, folder in copied.items():
        copy_part(folder, export / name, dtype)
    write_scheduler(export / "scheduler", scheduler)
    index = model_index(pipeline)
    if "vae" not in copied:
        write_json(export / "patches" / "config.json", {"kind": "sfumato-patches", "side": patch})
        del index["vae"]
    write_json(export / "model_index.json", index)


FORMATS.add("stable-diffusion", StableDiffusion())
