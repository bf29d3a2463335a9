"""unCLIP (Ramesh et al. 2022), as Karlo has it (Lee et al. 2022): a prior, a decoder of pixels, and an upsampler whose
last step has a network of its own.

Parts: prior, decoder, text_proj, text_encoder, tokenizer, super_res_first, super_res_last and a scheduler for each of
the three diffusions; image variations have image_encoder and feature_extractor in the place of the prior.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.config import U_NET
from sfumato.formats.folder import parts_of
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.scheduler_config import thresholds
from sfumato.formats.unclip_prior import eye_of, part_config, part_schedule, prior_stage, window_text
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import DDPM
from sfumato.times import LinspaceGrid

if TYPE_CHECKING:
    from sfumato.encode.window_text import WindowText
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("decoder", "text_proj", "text_encoder", "tokenizer", "super_res_first", "super_res_last")
SCHEDULERS = ("decoder_scheduler", "super_res_scheduler")
PRIOR, EYE = ("prior", "prior_scheduler"), ("image_encoder", "feature_extractor")
TOLD = {**U_NET, "class_embed_type": "identity"}
UPSAMPLER = {name: U_NET[name] for name in ("class_embed_type", "num_class_embeds", "time_embedding_type")}
COLOURS = 3
STEPS, SCALE, UPSAMPLING = 25, 8.0, 7


class UnCLIP(Format):
    """From words, or from a picture, to an image embedding, to a small picture, to a large one."""

    title = "unCLIP (Karlo): prior, decoder and upsampler, or image variations"
    pipelines = ("UnCLIPPipeline", "UnCLIPImageVariationPipeline")

    def capabilities(self, folder: Path) -> Capabilities:
        looks = int("image_encoder" in parts_of(folder))
        return Capabilities(text=True, joint=True, references=looks, suits=_suits_decoder(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        return next(stage for stage in self.stages(parts, engine) if stage.paints)

    def stages(self, parts: Parts, engine: Engine) -> tuple[Stage, ...]:
        begins = EYE if "image_encoder" in parts_of(parts.folder) else PRIOR
        parts.check_others(*READ, *SCHEDULERS, *begins)
        text = window_text(parts, engine, "text_encoder", "tokenizer")
        if begins is EYE:
            look, _, seen = eye_of(parts, engine, *EYE)
            decoder = _decoder(parts, engine, text, look, seen)
            return decoder, _upsampler(parts, engine, decoder)
        prior = prior_stage(parts, engine, text)
        decoder = _decoder(parts, engine, text, None, prior.space.channels)
        return prior, decoder, _upsampler(parts, engine, decoder)


def _decoder(parts: Parts, engine: Engine, text: WindowText, look: Any, width: int) -> Stage:
    from sfumato.denoise import Preconditioned
    from sfumato.encode.image_embedding import ImageEmbedding
    from sfumato.network.image_told_unets import unclip_backbone
    from sfumato.network.offload import at_hand
    from sfumato.space import Pixel
    from sfumato.stage import Stage

    schedule, parameterization = part_schedule(parts, "decoder_scheduler")
    unet = parts.network("decoder", "UNet2DConditionModel", TOLD)
    projection = parts.network("text_proj", "UnCLIPTextProjModel")
    config = projection.config
    told = {
        "clip_embeddings_dim": {width, text.width, text.pooled},
        "cross_attention_dim": {unet.config["cross_attention_dim"]},
        "time_embed_dim": {unet.config["time_embedding_dim"] or 4 * unet.config["block_out_channels"][0]},
    }
    for field, wanted in told.items():
        if wanted != {config[field]}:
            raise BadInput(
                f"The text_proj of {parts.model} has {field} {config[field]}, and what stands around it is "
                f"{' and '.join(map(str, sorted(wanted)))} wide: they must be the same."
            )
    _check_colours(parts, unet, "decoder", COLOURS)
    with at_hand(projection):
        empty = projection.learned_classifier_free_guidance_embeddings.detach().float().clone()[None]
    return Stage(
        "picture",
        Pixel(),
        Preconditioned(
            unclip_backbone(unet, projection, engine),
            schedule,
            parameterization,
            learned_variance=unet.config["out_channels"] > COLOURS,
        ),
        (text, ImageEmbedding(width, look, empty)),
        size=_size(parts, unet, "decoder"),
        multiple=_multiple(unet),
        networks={name: parts.networks[name] for name in ("decoder", "text_proj", "text_encoder")},
        device=parts.device,
        suits=_suits_decoder(parts.folder),
    )


def _upsampler(parts: Parts, engine: Engine, decoder: Stage) -> Stage:
    from sfumato.denoise import Preconditioned
    from sfumato.encode.enlarged import Enlarged
    from sfumato.network.last_step import LastStep
    from sfumato.network.unet2d import UNet2DBackbone
    from sfumato.space import Pixel
    from sfumato.stage import Stage

    schedule, parameterization = part_schedule(parts, "super_res_scheduler")
    unets = [parts.network(name, "UNet2DModel", UPSAMPLER) for name in ("super_res_first", "super_res_last")]
    for name, unet in zip(("super_res_first", "super_res_last"), unets, strict=True):
        _check_colours(parts, unet, name, 2 * COLOURS)
    size = _size(parts, unets[0], "super_res_first")
    scale, rest = divmod(size[0], decoder.size[0])
    if rest or not scale:
        raise BadInput(
            f"The super_res_first of {parts.model} paints {size[0]} pixels and its decoder {decoder.size[0]}: the "
            "first must be a multiple of the second."
        )
    learned = unets[0].config["out_channels"] > COLOURS
    first, last = (UNet2DBackbone(unet, engine, channels=COLOURS) for unet in unets)
    place = parts.place("super_res_scheduler")
    return Stage(
        "upscale",
        Pixel(),
        Preconditioned(
            LastStep(first, last, schedule.count / (2 * UPSAMPLING)),
            schedule,
            parameterization,
            learned_variance=learned,
        ),
        (Enlarged(scale),),
        size=size,
        multiple=max(map(_multiple, unets)),
        scale=scale,
        networks={name: parts.networks[name] for name in ("super_res_first", "super_res_last")},
        device=parts.device,
        suits=Suits(UPSAMPLING, thresholds(part_config(place)), _drawing(place), LinspaceGrid()),
    )


def _suits_decoder(folder: Path) -> Suits:
    place = folder / "decoder_scheduler"
    return Suits(STEPS, (ClassifierFree(SCALE), *thresholds(part_config(place))), _drawing(place), LinspaceGrid())


def _drawing(place: Path) -> DDPM:
    """The steps that a scheduler's folder says, with the variance that it says."""
    return DDPM(variance="learned" if part_config(place).get("variance_type") == "learned_range" else "small")


def _check_colours(parts: Parts, unet: Any, name: str, takes: int) -> None:
    found, gives = unet.config["in_channels"], unet.config["out_channels"]
    if found != takes or gives not in (COLOURS, 2 * COLOURS):
        raise BadInput(
            f"The {name} of {parts.model} turns {found} channels into {gives}: accepted are {takes} into {COLOURS} or, "
            f"with a learned variance, {2 * COLOURS}."
        )


def _size(parts: Parts, unet: Any, name: str) -> tuple[int, int]:
    side = unet.config["sample_size"]
    if not isinstance(side, int) or not 1 <= side <= 4096:
        raise BadInput(f"The {name} of {parts.model} has sample_size {side!r}: give one number.")
    return side, side


def _multiple(unet: Any) -> int:
    return 2 ** (len(unet.config["block_out_channels"]) - 1)


FORMATS.add("unclip", UnCLIP())
