"""PixArt-alpha and PixArt-Sigma (Chen et al. 2023, 2024): transformer, vae, text_encoder (T5), tokenizer, scheduler."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import AUTOENCODER
from sfumato.formats.folder import index_of, scheduler_of
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.scheduler_config import consistency_scaling, noise_schedule
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import Consistency

if TYPE_CHECKING:
    from sfumato.encode import T5Text
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

TRANSFORMER = {"attention_type": "default"}
READ = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
WINDOWS = {"PixArtAlphaPipeline": 120, "PixArtSigmaPipeline": 300, "PixArtSigmaPAGPipeline": 300}
"""Tokens that the T5 of each reads."""
SUITS = Suits(guidance=(ClassifierFree(4.5),))

CONTROLS = ("residuals",)  # what the transformer takes from controls


class PixArt(Format):
    """Words, read by a T5, to pictures: a transformer that attends to words by cross-attention."""

    title = "PixArt-alpha and PixArt-Sigma"
    pipelines = tuple(WINDOWS)

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, controls=CONTROLS, suits=_suits(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.denoise import Preconditioned
        from sfumato.network.cross_attended import pixart_backbone
        from sfumato.space import Latent
        from sfumato.stage import Stage

        parts.check_others(*READ)
        schedule, parameterization = noise_schedule(parts.scheduler(), parts.model)
        scaling = consistency_scaling(parts.scheduler())
        network = parts.network("transformer", "PixArtTransformer2DModel", TRANSFORMER)
        space = Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine)
        config = network.config
        takes, gives = config["in_channels"], network.out_channels
        if takes != space.channels or gives not in (takes, 2 * takes):
            raise BadInput(
                f"The transformer of {parts.model} takes latents of {takes} channels and answers {gives}: for its vae "
                f"it must be {space.channels}, and as many or, with a learned variance, twice as many."
            )
        side = config["sample_size"] * space.factor
        return Stage(
            "picture",
            space,
            Preconditioned(
                pixart_backbone(network, engine, space.factor),
                schedule,
                parameterization,
                learned_variance=gives == 2 * takes,
                consistency=scaling is not None,
                boundary=scaling,
            ),
            (_text(parts, engine, config["caption_channels"] or config["cross_attention_dim"]),),
            size=(side, side),
            multiple=math.lcm(space.factor * config["patch_size"], 4),
            networks=parts.networks,
            controls=CONTROLS,
            device=parts.device,
            suits=_suits(parts.folder),
        )


def _suits(folder: Path) -> Suits:
    """A latent consistency model (PixArt-LCM) has LCM's four steps, without guidance, which it learned."""
    return SUITS if consistency_scaling(scheduler_of(folder)) is None else Suits(4, (), Consistency())


def _text(parts: Parts, engine: Engine, width: int) -> T5Text:
    from sfumato.encode.lower_t5_text import LowerT5Text
    from sfumato.network.t5_encoder import T5_ENCODER

    encoder = parts.network("text_encoder", "T5EncoderModel")
    parts.check_width("transformer", width, encoder.config.d_model)
    tokenizer = parts.words("tokenizer", encoder.config.vocab_size, "T5Tokenizer", "T5TokenizerFast")
    window = WINDOWS[index_of(parts.folder)["_class_name"]]
    tokenizer.model_max_length = max(tokenizer.model_max_length, window)  # T5's own says what it was trained at
    return LowerT5Text(tokenizer, engine.prepare(encoder, T5_ENCODER), window, masked=True)


FORMATS.add("pixart", PixArt())
