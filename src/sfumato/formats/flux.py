"""FLUX.1 [dev], [schnell], [Kontext] and [Fill]: a flow-matching transformer of latents in tokens of 2 x 2 cells.

`model_index.json` names transformer, vae, text_encoder (a CLIP, whose pooled vector is told), text_encoder_2 (a T5,
whose tokens are), their tokenizers and scheduler. Guidance was distilled into [dev] and [Kontext], which are told its
scale (`Distilled`); [schnell] has none. True guidance, with negative prompts, is `ClassifierFree` beside it.

A folder is Kontext's by the name of its pipeline. Its reference picture is scaled to cover as many pixels as the run's
own size (`of_area`), where Black Forest Labs choose among seventeen sizes of a megapixel for both. A transformer that
takes 4 (2C + F^2) channels for C of latents and cells of F x F pixels (384) is Fill's: it is shown what a mask leaves
of the held picture, and every pixel of the mask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.config import AUTOENCODER, FLUX
from sfumato.formats.flow_config import flow_schedule
from sfumato.formats.folder import config_of, index_of
from sfumato.formats.format import FORMATS, Format
from sfumato.guide import Distilled
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import Euler

if TYPE_CHECKING:
    from sfumato.encode import TextEncoder
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

CELLS = 128  # along the side of what it was trained at
TEXTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
READ = ("transformer", "vae", *TEXTS, "scheduler")
BESIDE = ("image_encoder", "feature_extractor")
"""Parts of the pipelines for pictures as prompts, which is a matter of adapters."""
KONTEXT = ("FluxKontextPipeline", "FluxKontextInpaintPipeline")
CONTROLS = ("residuals", "image tokens")  # what the transformer takes from controls


class Flux(Format):
    """A `FluxTransformer2DModel`, told the words of a T5 and the pooled vector of a CLIP (Black Forest Labs 2024)."""

    title = "FLUX.1 (dev, schnell, Kontext, Fill)"
    pipelines = ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline", "FluxFillPipeline", *KONTEXT)

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(
            text=True,
            joint=True,
            controls=CONTROLS,
            distilled=bool(config_of(folder, "transformer").get("guidance_embeds", False)),
            references=int(_looks(folder)),
            inpaints=_fills(config_of(folder, "transformer")),
            suits=_suits(folder),
        )

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.denoise import Preconditioned
        from sfumato.encode import Encoder, MaskedPicture, ReferenceLatents, ToldScale, masked_pixels
        from sfumato.encode.reference_latents import of_area
        from sfumato.network.flux_transformer import SIDE, flux_backbone
        from sfumato.space import Latent
        from sfumato.stage import Stage

        parts.check_others(*READ, *BESIDE)
        transformer = parts.network("transformer", "FluxTransformer2DModel", FLUX)
        space = Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine)
        own, takes, gives = SIDE**2 * space.channels, transformer.config["in_channels"], transformer.out_channels
        filling = SIDE**2 * (2 * space.channels + space.factor**2)
        if gives != own or takes not in (own, filling):
            raise BadInput(
                f"The transformer of {parts.model} takes {takes} channels and answers {gives}; accepted are {own} "
                f"(text to image) and {filling} (fill: those, a masked picture, its mask), answering {own}."
            )
        cell = SIDE * space.factor
        schedule_at = flow_schedule(parts.scheduler(), parts.model, lambda size: (size[0] // cell) * (size[1] // cell))
        size = (CELLS * space.factor, CELLS * space.factor)
        told, looks = bool(transformer.config["guidance_embeds"]), _looks(parts.folder)
        multiple = math.lcm(cell, 4)  # a recipe's sides are multiples of 4
        encoders: list[Encoder] = [_text(parts, engine, transformer.config, told)]
        encoders += [ToldScale()] if told else []
        encoders += [MaskedPicture(space, masked_pixels)] if takes == filling else []
        encoders += [ReferenceLatents(space, 1, of_area(multiple))] if looks else []
        return Stage(
            "picture",
            space,
            Preconditioned(
                flux_backbone(transformer, engine, space.channels, looks), schedule_at(size), "flow", "sigma"
            ),
            tuple(encoders),
            size=size,
            multiple=multiple,
            networks=parts.networks,
            controls=CONTROLS,
            device=parts.device,
            suits=_suits(parts.folder),
            schedule_at=schedule_at,
        )


def _looks(folder: Path) -> bool:
    """Whether the network was trained to look at a picture."""
    return index_of(folder).get("_class_name") in KONTEXT


def _fills(config: Mapping[str, Any]) -> bool:
    """Whether the network sees more beside x than it answers."""
    return config.get("out_channels") not in (None, config.get("in_channels"))


def _suits(folder: Path) -> Suits:
    """What Black Forest Labs recommend."""
    config = config_of(folder, "transformer")
    if _fills(config):
        return Suits(steps=50, guidance=(Distilled(30.0),), sampler=Euler())
    if not config.get("guidance_embeds", False):
        return Suits(steps=4, guidance=(), sampler=Euler())
    return Suits(steps=28, guidance=(Distilled(2.5 if _looks(folder) else 3.5),), sampler=Euler())


def _text(parts: Parts, engine: Engine, wanted: dict[str, int], told: bool) -> TextEncoder:
    """T5's tokens, 512 of them, or 256 where no guidance was distilled ([schnell]), and the CLIP's pooled vector."""
    from sfumato.encode import ClipPooled, PooledText, T5Text
    from sfumato.network.clip_text_model import CLIP_POOLED
    from sfumato.network.t5_encoder import T5_ENCODER

    clip, t5 = parts.network("text_encoder", "CLIPTextModel"), parts.network("text_encoder_2", "T5EncoderModel")
    parts.check_width("transformer", wanted["pooled_projection_dim"], clip.config.hidden_size)
    parts.check_width("transformer", wanted["joint_attention_dim"], t5.config.d_model, "text_encoder_2")
    first = parts.tokenizer("tokenizer", clip.config.vocab_size)
    second = parts.words("tokenizer_2", t5.config.vocab_size, "T5Tokenizer", "T5TokenizerFast")
    return PooledText(
        T5Text(second, engine.prepare(t5, T5_ENCODER), 512 if told else 256),
        ClipPooled(first, engine.prepare(clip, CLIP_POOLED), clip.config.max_position_embeddings),
    )


FORMATS.add("flux", Flux())
