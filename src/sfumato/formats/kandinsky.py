"""Kandinsky 2.2 (Razzhigaev et al. 2023): a prior, and a decoder told an image embedding alone.

The prior (prior, text_encoder, tokenizer, image_encoder, image_processor, scheduler) and the decoder (unet, movq,
scheduler) have a folder each, or one together, in which the prior's parts are called prior_prior, prior_text_encoder
and so on. A U-Net of 2C + 1 input channels (9) was trained to inpaint.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.config import U_NET
from sfumato.formats.folder import parts_of
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.scheduler_config import thresholds
from sfumato.formats.unclip_prior import eye_of, part_config, part_schedule, prior_stage, suits_prior, window_text
from sfumato.formats.unet_stage import planes_of
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits

if TYPE_CHECKING:
    from sfumato.encode import Encoder
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

PRIOR = ("prior", "text_encoder", "tokenizer", "image_encoder", "image_processor", "scheduler")
DECODER = ("unet", "movq", "scheduler")
TOLD = {**U_NET, "encoder_hid_dim_type": "image_proj", "addition_embed_type": "image"}
TOLD.pop("encoder_hid_dim")
MOVQ = {"norm_type": "spatial", "lookup_from_codebook": False}
CONTROLS = ("residuals",)  # what the decoder takes from controls
STEPS, SCALE = 25, 4.0


class KandinskyPrior(Format):
    """From words to an image embedding."""

    title = "Kandinsky 2.2's prior"
    pipelines = ("KandinskyV22PriorPipeline", "KandinskyV22PriorEmb2EmbPipeline")
    paints = False

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, references=1, suits=suits_prior(folder / "scheduler"))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        parts.check_others(*PRIOR)
        return _prior(parts, engine)[0]


class Kandinsky(Format):
    """From an image embedding to a picture, by latents of a MoVQ."""

    title = "Kandinsky 2.2 (its decoder, or with its prior in one folder)"
    pipelines = (
        "KandinskyV22Pipeline",
        "KandinskyV22Img2ImgPipeline",
        "KandinskyV22InpaintPipeline",
        "KandinskyV22CombinedPipeline",
        "KandinskyV22Img2ImgCombinedPipeline",
        "KandinskyV22InpaintCombinedPipeline",
    )

    def capabilities(self, folder: Path) -> Capabilities:
        looks = int("prior_prior" in parts_of(folder))
        suits = _suits(folder / "scheduler")
        told = {"references": looks, "inpaints": planes_of(folder) > 0, "controls": CONTROLS}
        return Capabilities(text=True, joint=True, suits=suits, **told)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        return self.stages(parts, engine)[-1]

    def stages(self, parts: Parts, engine: Engine) -> tuple[Stage, ...]:
        if "prior_prior" not in parts_of(parts.folder):
            parts.check_others(*DECODER)
            return (_decoder(parts, engine),)
        parts.check_others(*DECODER, *(f"prior_{part}" for part in PRIOR))
        prior, eye = _prior(parts, engine, "prior_")
        return prior, _decoder(parts, engine, eye)


def _prior(parts: Parts, engine: Engine, prefix: str = "") -> tuple[Stage, Any]:
    """The prior's Stage, and its eye."""
    eye = eye_of(parts, engine, f"{prefix}image_encoder", f"{prefix}image_processor")
    text = window_text(parts, engine, f"{prefix}text_encoder", f"{prefix}tokenizer")
    prior = f"{prefix}prior"
    stage = prior_stage(
        parts,
        engine,
        text,
        prior=prior,
        scheduler=f"{prefix}scheduler",
        nothing=eye[1],
    )
    width = stage.space.channels // 2
    if eye[2] != width:
        raise BadInput(
            f"The {prior} of {parts.model} draws image embeddings {width} wide, and its {prefix}image_encoder's are "
            f"{eye[2]}."
        )
    return replace(stage, eye=eye), eye


def _decoder(parts: Parts, engine: Engine, eye: Any = (None, None, None)) -> Stage:
    from sfumato.denoise import Preconditioned
    from sfumato.encode.image_embedding import PairedEmbedding
    from sfumato.encode.masked_picture import MaskedPicture
    from sfumato.network.image_told_unets import kandinsky_backbone
    from sfumato.space.deterministic import Deterministic
    from sfumato.stage import Stage

    look, nothing, width = eye
    schedule, parameterization = part_schedule(parts, "scheduler")
    unet = parts.network("unet", "UNet2DConditionModel", TOLD)
    space = Deterministic(parts.network("movq", "VQModel", MOVQ), engine, scale=1.0, looked_up=False)
    takes, gives, side = (unet.config[name] for name in ("in_channels", "out_channels", "sample_size"))
    channels = space.channels
    if takes not in (channels, 2 * channels + 1) or gives not in (channels, 2 * channels):
        raise BadInput(
            f"The unet of {parts.model} turns {takes} channels into {gives}: for its movq it must be {channels}, or "
            f"{2 * channels + 1} to inpaint, into as many or, with a learned variance, {2 * channels}."
        )
    if width is not None and width != unet.config["encoder_hid_dim"]:
        raise BadInput(
            f"The unet of {parts.model} takes image embeddings {unet.config['encoder_hid_dim']} wide "
            f"(encoder_hid_dim), and its prior's are {width}."
        )
    if not isinstance(side, int) or not 1 <= side * space.factor <= 4096:
        raise BadInput(f"The unet of {parts.model} has sample_size {side!r}: give one number.")
    encoders: list[Encoder] = [PairedEmbedding(unet.config["encoder_hid_dim"], look, nothing)]
    if takes != channels:
        encoders.append(MaskedPicture(space, kept_planes))
    backbone = kandinsky_backbone(unet, engine, channels)
    return Stage(
        "picture",
        space,
        Preconditioned(backbone, schedule, parameterization, learned_variance=gives == 2 * channels),
        tuple(encoders),
        size=(side * space.factor, side * space.factor),
        multiple=space.factor * 2 ** (len(unet.config["block_out_channels"]) - 1),
        networks={name: parts.networks[name] for name in ("unet", "movq")},
        device=parts.device,
        controls=CONTROLS,
        suits=_suits(parts.place("scheduler")),
    )


def _suits(place: Path) -> Suits:
    return Suits(STEPS, (ClassifierFree(SCALE), *thresholds(part_config(place))))


def kept_planes(space: Any, pictures: Any, masks: Any) -> Any:
    """[encode(picture) where it is held, 1 where it is held], (B, C + 1, h, w): what Kandinsky's inpainting U-Net sees.

    pictures (B, 3, H, W) in [-1, 1]; masks (B, 1, H, W) in [0, 1], 1 = repaint, half and more counts as all. What is
    to be repainted spreads to the cells beside it, but for the upper right and the lower left, as in its training.
    """
    import torch
    from torch.nn.functional import pad

    hidden = (masks >= 0.5).to(pictures)[..., :: space.factor, :: space.factor]
    height, width = hidden.shape[-2:]
    around = pad(hidden, (1, 1, 1, 1))
    beside = ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2))
    spread = torch.stack([around[..., y : y + height, x : x + width] for y, x in beside]).amax(0)
    latents = space.encode(pictures)
    held = 1 - spread.to(latents)
    return torch.cat([latents * held, held], dim=1)


FORMATS.add("kandinsky-prior", KandinskyPrior())
FORMATS.add("kandinsky", Kandinsky())
