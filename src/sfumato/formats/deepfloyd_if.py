"""DeepFloyd IF (Shonenkov et al. 2023), a cascade in pixels as Imagen (Saharia et al. 2022): a model of small pictures,
and one that makes them four times larger. unet, text_encoder (T5), tokenizer, scheduler; image_noising_scheduler.

Their schedulers threshold the guided x0, which is a guidance here: it is among those that suit the model. Words are
read in small letters; the rest of what stock diffusers cleans a caption of (addresses, file names, marks) is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.config import U_NET
from sfumato.formats.folder import read_json, scheduler_of
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.scheduler_config import noise_schedule, thresholds
from sfumato.formats.unet_stage import check_channels, refuse_parts, trained_size
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import DDPM
from sfumato.times import LeadingGrid, LinspaceGrid, TimeGrid, TrailingGrid

if TYPE_CHECKING:
    from sfumato.encode import Encoder, T5Text
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.schedule import Discrete
    from sfumato.stage import Stage

WINDOW = 77  # tokens that the U-Nets were trained with
COLOURS = 3
LARGER = 4  # times, that the second stage makes a picture
LEVEL = 250  # the step of the table to which its makers noise the small picture
TOLD = ("addition_embed_type", "encoder_hid_dim", "encoder_hid_dim_type", "class_embed_type")
NEUTRAL = {name: value for name, value in U_NET.items() if name not in TOLD}
READ = ("unet", "text_encoder", "tokenizer", "scheduler")
VARIANCES = {"learned_range": "learned", "fixed_large": "large"}


class DeepFloydIF(Format):
    """The first stage: words, read by a T5, to small pictures."""

    title = "DeepFloyd IF, its first stage"
    pipelines = ("IFPipeline", "IFImg2ImgPipeline", "IFInpaintingPipeline")

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, joint=True, suits=suits_of(scheduler_of(folder), 100, 7.0))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        refuse_parts(parts, READ)
        schedule = _schedule(parts.scheduler(), parts.model)
        unet = _unet(parts, None)
        check_channels(parts, unet, COLOURS, 0, "RGB", learned=True)
        suits = self.capabilities(parts.folder).suits
        return _stage("picture", parts, engine, unet, schedule, (_text(parts, engine, unet),), suits)


class DeepFloydIFUpscale(Format):
    """The second stage: words and a small picture, a little noised, to one four times as large."""

    title = "DeepFloyd IF, its second stage"
    pipelines = (
        "IFSuperResolutionPipeline",
        "IFImg2ImgSuperResolutionPipeline",
        "IFInpaintingSuperResolutionPipeline",
    )

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, joint=True, references=1, suits=suits_of(scheduler_of(folder), 50, 4.0))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.encode import LowResolution, NoiseLevel

        refuse_parts(parts, (*READ, "image_noising_scheduler"))
        schedule = _schedule(parts.scheduler(), parts.model)
        place = parts.place("image_noising_scheduler") / "scheduler_config.json"
        small, _ = _schedule(read_json(place), f"the image_noising_scheduler of {parts.model}")
        unet = _unet(parts, "timestep")
        check_channels(parts, unet, COLOURS, COLOURS, "RGB, and the small picture's", learned=True)
        time = min(LEVEL + 1, small.count) / small.count
        encoders = (
            _text(parts, engine, unet),
            LowResolution(LARGER, small, time, pixels=True, key="small picture"),
            NoiseLevel(time),
        )
        suits = self.capabilities(parts.folder).suits
        return _stage("upscale", parts, engine, unet, schedule, encoders, suits, LARGER, small.count)


def suits_of(scheduler: Mapping[str, Any], steps: int, scale: float) -> Suits:
    """What the makers sample with, and diffusers after them: their scale of guidance and what their scheduler does to
    the guided x0; where that is DDPM's, its variance, its grid and their number of steps."""
    guidance = (ClassifierFree(scale), *thresholds(scheduler))
    if scheduler.get("_class_name") != "DDPMScheduler":
        return Suits(guidance=guidance)
    variance: Any = VARIANCES.get(scheduler.get("variance_type", ""), "small")
    grids: dict[str, TimeGrid] = {"trailing": TrailingGrid(), "linspace": LinspaceGrid()}
    leading = LeadingGrid(offset=scheduler.get("steps_offset", 0))
    return Suits(steps, guidance, DDPM(variance), grids.get(scheduler.get("timestep_spacing", ""), leading))


def _schedule(scheduler: Mapping[str, Any], where: str) -> tuple[Discrete, str]:
    """The table of betas, and what the network predicts; thresholding is guidance (`suits_of`)."""
    if scheduler.get("variance_type") == "learned":
        raise BadInput(f"The scheduler of {where} has variance_type 'learned'; accepted is 'learned_range'.")
    return noise_schedule({**scheduler, "thresholding": False}, where)


def _unet(parts: Parts, level: str | None) -> Any:
    """The network. Raises BadInput where it is told other things than words, or a level of noise as it is not."""
    unet = parts.network("unet", "UNet2DConditionModel", NEUTRAL)
    told = {"addition_embed_type": "text", "encoder_hid_dim_type": "text_proj", "class_embed_type": level}
    for field, wanted in told.items():
        if unet.config[field] != wanted:
            raise BadInput(f"The unet of {parts.model} has {field} {unet.config[field]!r}; accepted is {wanted!r}.")
    return unet


def _text(parts: Parts, engine: Engine, unet: Any) -> T5Text:
    from sfumato.encode.seen_filling import SeenFilling
    from sfumato.network.t5_encoder import T5_ENCODER

    encoder = parts.network("text_encoder", "T5EncoderModel")
    parts.check_width("unet", unet.config["encoder_hid_dim"], encoder.config.d_model)
    tokenizer = parts.words("tokenizer", encoder.config.vocab_size, "T5Tokenizer", "T5TokenizerFast")
    return SeenFilling(tokenizer, engine.prepare(encoder, T5_ENCODER), WINDOW, masked=True)


def _stage(
    name: str,
    parts: Parts,
    engine: Engine,
    unet: Any,
    schedule: tuple[Discrete, str],
    encoders: tuple[Encoder, ...],
    suits: Suits,
    scale: int = 1,
    levels: int = 0,
) -> Stage:
    from sfumato.denoise import Preconditioned
    from sfumato.network.unet2d_condition import UNetBackbone
    from sfumato.space import Pixel
    from sfumato.stage import Stage

    learned = unet.config["out_channels"] == 2 * COLOURS
    if not learned and parts.scheduler().get("variance_type") == "learned_range":
        raise BadInput(
            f"The scheduler of {parts.model} has variance_type 'learned_range' and its unet answers no variance: it "
            f"must answer {2 * COLOURS} channels."
        )
    backbone = UNetBackbone(unet, engine, COLOURS, levels=levels)
    return Stage(
        name,
        Pixel(),
        Preconditioned(backbone, *schedule, learned_variance=learned),
        encoders,
        size=trained_size(unet.config["sample_size"], 1, parts),
        multiple=max(4, 2 ** (len(unet.config["block_out_channels"]) - 1)),  # a recipe's sides are multiples of 4
        scale=scale,
        networks=parts.networks,
        suits=suits,
        device=parts.device,
    )


FORMATS.add("deepfloyd-if", DeepFloydIF())
FORMATS.add("deepfloyd-if-upscale", DeepFloydIFUpscale())
