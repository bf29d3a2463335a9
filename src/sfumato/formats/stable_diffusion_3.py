"""Stable Diffusion 3 and 3.5: a flow-matching transformer told the words of two CLIPs and of a T5.

`model_index.json` names transformer, vae, text_encoder and text_encoder_2 (CLIPs with projections), text_encoder_3 (a
T5, which may be left out: [null, null]), their tokenizers and scheduler. The blocks of 3.5 with two attentions are the
network's own matter. What suits a turbo is not told from its files: few steps, and guidance 1.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.config import AUTOENCODER
from sfumato.formats.flow_config import flow_schedule
from sfumato.formats.folder import config_of, parts_of
from sfumato.formats.format import FORMATS, Format
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import Euler

if TYPE_CHECKING:
    from sfumato.encode import TextEncoder
    from sfumato.encode.clip_text import ClipText
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

WINDOW = 256  # tokens of a T5's text
TEXTS = ("text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer", "tokenizer_2", "tokenizer_3")
READ = ("transformer", "vae", *TEXTS, "scheduler")
BESIDE = ("image_encoder", "feature_extractor")
"""Parts of the pipelines for pictures as prompts, which is a matter of adapters."""
CONTROLS = ("residuals", "image tokens")  # what the transformer takes from controls


class StableDiffusion3(Format):
    """An `SD3Transformer2DModel` (Esser et al. 2024)."""

    title = "Stable Diffusion 3 and 3.5"
    pipelines = tuple(f"StableDiffusion3{what}Pipeline" for what in ("", "Img2Img", "Inpaint"))

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, joint=True, controls=CONTROLS, suits=_suits(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.denoise import Preconditioned
        from sfumato.network.sd3_transformer import sd3_backbone
        from sfumato.space import Latent
        from sfumato.stage import Stage

        parts.check_others(*READ, *BESIDE)
        transformer = parts.network("transformer", "SD3Transformer2DModel")
        space = Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine)
        takes, gives = transformer.config["in_channels"], transformer.out_channels
        if (takes, gives) != (space.channels, space.channels):
            raise BadInput(
                f"The transformer of {parts.model} takes {takes} channels and answers {gives}; its latents have "
                f"{space.channels}."
            )
        cell = space.factor * transformer.config["patch_size"]
        schedule_at = flow_schedule(parts.scheduler(), parts.model, lambda size: (size[0] // cell) * (size[1] // cell))
        size = (transformer.config["sample_size"] * space.factor,) * 2
        return Stage(
            "picture",
            space,
            Preconditioned(sd3_backbone(transformer, engine), schedule_at(size), "flow", "sigma"),
            (_text(parts, engine, transformer.config),),
            size=size,
            multiple=math.lcm(cell, 4),  # a recipe's sides are multiples of 4
            networks=parts.networks,
            controls=CONTROLS,
            device=parts.device,
            suits=_suits(parts.folder),
            schedule_at=schedule_at,
        )


def _suits(folder: Path) -> Suits:
    """What Stability AI recommend: of 3, and of 3.5, whose queries and keys are normed."""
    later = config_of(folder, "transformer").get("qk_norm") is not None
    return Suits(steps=28, guidance=(ClassifierFree(4.5 if later else 7.0),), sampler=Euler())


def _text(parts: Parts, engine: Engine, config: dict[str, Any]) -> TextEncoder:
    from sfumato.encode import ClipTexts, JoinedText, T5Text
    from sfumato.network.t5_encoder import T5_ENCODER

    each = [_clip(parts, engine, "text_encoder", "tokenizer"), _clip(parts, engine, "text_encoder_2", "tokenizer_2")]
    clips = ClipTexts(each)
    configs = [parts.networks[part].config for part in ("text_encoder", "text_encoder_2")]
    width, pooled = config["joint_attention_dim"], config["pooled_projection_dim"]
    beside, said = (sum(getattr(c, name) for c in configs) for name in ("hidden_size", "projection_dim"))
    if beside > width or said != pooled:
        raise BadInput(
            f"The transformer of {parts.model} takes texts {width} wide and pooled ones {pooled} wide; those of its "
            f"text_encoder and text_encoder_2 are {beside} and {said} together."
        )
    if "text_encoder_3" not in parts_of(parts.folder):
        return JoinedText(clips, None, width, WINDOW)
    t5 = parts.network("text_encoder_3", "T5EncoderModel")
    parts.check_width("transformer", width, t5.config.d_model, "text_encoder_3")
    tokenizer = parts.words("tokenizer_3", t5.config.vocab_size, "T5Tokenizer", "T5TokenizerFast")
    return JoinedText(clips, T5Text(tokenizer, engine.prepare(t5, T5_ENCODER), WINDOW), width, WINDOW)


def _clip(parts: Parts, engine: Engine, encoder: str, tokenizer: str) -> ClipText:
    """A CLIP whose tokens are the hidden states before its last layer, as they come, and the projected embedding."""
    from sfumato.encode import ClipText
    from sfumato.network.clip_text_model import clip_text

    network = parts.network(encoder, "CLIPTextModelWithProjection")
    run = engine.prepare(network, clip_text(1, normed=False, pooled=True))
    words = parts.tokenizer(tokenizer, network.config.vocab_size)
    return ClipText(words, run, network.config.max_position_embeddings, network.config.hidden_size)


FORMATS.add("stable-diffusion-3", StableDiffusion3())
