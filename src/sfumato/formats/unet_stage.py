"""What the families of `UNet2DConditionModel` have in common: their parts, and a Stage of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.config import AUTOENCODER, U_NET
from sfumato.formats.flow_config import flow_of, flows
from sfumato.formats.folder import config_of, scheduler_of
from sfumato.formats.scheduler_config import consistency_scaling, noise_schedule
from sfumato.guide import Distilled
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Suits
from sfumato.sample import DDIM, Consistency
from sfumato.times import TrailingGrid

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.encode import ClipText, Encoder
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.schedule import Schedule
    from sfumato.space import Latent, Space
    from sfumato.stage import Stage

CONTROLS = ("residuals", "features", "image tokens")  # what a UNet2DConditionModel takes from controls
CELLS = 64  # along a side of what a network was trained at that does not say
BESIDE = ("safety_checker", "feature_extractor", "image_encoder", "watermarker")
"""Parts of the pipelines that say nothing of the diffusion."""


def refuse_parts(parts: Parts, read: Sequence[str]) -> None:
    """Raises BadInput for parts that are neither `read` nor said to say nothing."""
    parts.check_others(*read, *BESIDE)


def parts_schedule(parts: Parts) -> tuple[Schedule, str]:
    """The schedule of the scheduler, and what the network predicts: of a table, or by flow matching."""
    config = parts.scheduler()
    if flows(config):
        return flow_of(config, parts.model), "flow"
    return noise_schedule(config, parts.model)


def clip_text_of(
    parts: Parts,
    engine: Engine,
    encoder: str = "text_encoder",
    tokenizer: str = "tokenizer",
    kind: str = "CLIPTextModel",
    *,
    skip: int = 0,
    normed: bool = True,
    pooled: bool = False,
) -> ClipText:
    """A CLIP text encoder with its tokenizer; what is read of it is as `sfumato.network.clip_text_model` says."""
    from sfumato.encode import ClipText
    from sfumato.network.clip_text_model import clip_text

    network = parts.network(encoder, kind)
    config = network.config

    def shorter(layers: int) -> Callable[..., Any]:
        return engine.prepare(network, clip_text(skip + layers, normed=normed, pooled=pooled))

    return ClipText(
        parts.tokenizer(tokenizer, config.vocab_size),
        shorter(0),
        config.max_position_embeddings,
        config.hidden_size,
        shorter,
        config.num_hidden_layers - skip,
    )


def told_words(
    parts: Parts, engine: Engine, read: Sequence[str], neutral: Mapping[str, Any] = U_NET
) -> tuple[Any, Latent, tuple[Schedule, str], ClipText]:
    """The unet, its latents, its schedule and its words where one CLIP reads them, of a folder of the parts `read`."""
    from sfumato.space import Latent

    refuse_parts(parts, read)
    schedule = parts_schedule(parts)
    unet = parts.network("unet", "UNet2DConditionModel", neutral)
    space = Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine)
    text = clip_text_of(parts, engine)
    parts.check_width("unet", unet.config["cross_attention_dim"], text.width)
    return unet, space, schedule, text


def planes_of(folder: Path, patch: int = 1) -> int:
    """How many planes the network in a folder sees beside the picture, by its config."""
    config = config_of(folder, "unet")
    out, takes = config.get("out_channels", 4), config.get("in_channels", 4)
    return (takes - out) // patch**2 if isinstance(out, int) and isinstance(takes, int) else 0


def check_channels(parts: Parts, unet: Any, channels: int, planes: int, what: str, *, learned: bool = False) -> None:
    """Raises BadInput unless the network takes `channels` and so many planes beside them, and answers `channels`, or
    twice as many where it may say its variance."""
    takes, gives = unet.config["in_channels"], unet.config["out_channels"]
    if takes != channels + planes:
        raise BadInput(f"The unet of {parts.model} takes {takes} channels; accepted are {channels + planes} ({what}).")
    if gives not in (channels, 2 * channels if learned else channels):
        variance = f", or {2 * channels} with a learned variance" if learned else ""
        raise BadInput(f"The unet of {parts.model} answers {gives} channels; accepted are {channels}{variance}.")


def told_besides(folder: Path) -> dict[str, Any]:
    """What the unet and the scheduler in a folder add to `Capabilities`."""
    told = bool(config_of(folder, "unet").get("time_cond_proj_dim"))
    return {"distilled": told, "controls": CONTROLS, "suits": suits_of(folder)}


def suits_of(folder: Path) -> Suits:
    """What suits the model in a folder, by its scheduler: students come with one of their own.

    A latent consistency model has LCM's, a trajectory consistency model (Hyper) TCD's; what predicts noise and is
    walked by Euler's method on a trailing grid was distilled too, as Turbo and Lightning: all learned guided answers.
    """
    config = scheduler_of(folder)
    kind, spacing = str(config.get("_class_name")), config.get("timestep_spacing")
    if kind == "LCMScheduler":
        told = bool(config_of(folder, "unet").get("time_cond_proj_dim"))
        return Suits(4, (Distilled(8.5),) if told else (), Consistency())
    if kind == "TCDScheduler":
        return Suits(4, (), DDIM(), TrailingGrid())
    distilled = spacing == "trailing" and config.get("prediction_type", "epsilon") == "epsilon"
    if distilled and kind in ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"):
        return Suits(4, (), DDIM(1.0) if "Ancestral" in kind else DDIM(), TrailingGrid())
    return Suits(inverted=0.9) if config.get("beta_schedule") == "squaredcos_cap_v2" else Suits()


def unet_stage(
    parts: Parts,
    engine: Engine,
    unet: Any,
    space: Space,
    schedule: tuple[Schedule, str],
    encoders: Sequence[Encoder],
    *,
    patch: int = 1,
    sizes: int = 0,
    suits: Suits | None = None,
    name: str = "picture",
    scale: int = 1,
    layout: int = 0,
) -> Stage:
    """The Stage of what was read; a network that is told the scale of a distilled guidance gets an encoder of it."""
    from sfumato.denoise import Preconditioned
    from sfumato.encode import ToldScale
    from sfumato.network.unet2d_condition import UNetBackbone
    from sfumato.stage import Stage

    told = (ToldScale(),) if unet.config.get("time_cond_proj_dim") else ()
    backbone = UNetBackbone(unet, engine, space.channels, patch, sizes, layout=layout)
    cell, scaling = space.factor * patch, consistency_scaling(parts.scheduler())
    time = thousandths(schedule[0]) if schedule[1] == "flow" else "rounded"
    return Stage(
        name,
        space,
        Preconditioned(backbone, *schedule, time, consistency=scaling is not None, boundary=scaling),
        (*encoders, *told),
        size=trained_size(unet.config["sample_size"], cell, parts),
        multiple=math.lcm(cell, 4),  # a recipe's sides are multiples of 4
        scale=scale,
        networks=parts.networks,
        controls=CONTROLS,
        suits=suits or suits_of(parts.folder),
        device=parts.device,
    )


def thousandths(flow: Schedule) -> Callable[[Tensor], Tensor]:
    """What a U-Net that was trained by flow matching is told of t: 1000 sigma(t)."""
    return lambda t: 1000 * flow(t)[1]


def trained_size(sample: Any, cell: int, parts: Parts) -> tuple[int, int]:
    """(width, height) in pixels of what a network was trained at, in cells as its config says: one number, a list of
    height and width, or nothing."""
    cells = [CELLS] * 2 if sample is None else [sample] * 2 if isinstance(sample, int) else list(sample)
    if len(cells) != 2 or not all(isinstance(side, int) and 1 <= side * cell <= 4096 for side in cells):
        raise BadInput(f"The unet of {parts.model} has sample_size {sample!r}: give one number, or height and width.")
    return cells[1] * cell, cells[0] * cell
