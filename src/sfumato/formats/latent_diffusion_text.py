"""CompVis' latent diffusion told words (Rombach et al. 2022, section 4.3.1): unet, vqvae, bert, tokenizer, scheduler.

The vqvae is an `AutoencoderKL` or a `VQModel`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import AUTOENCODER, U_NET
from sfumato.formats.folder import parts_of
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.latent_diffusion import AUTOENCODER as CODEBOOK
from sfumato.formats.unet_stage import CONTROLS, check_channels, parts_schedule, unet_stage
from sfumato.guide import ClassifierFree
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import DDIM

if TYPE_CHECKING:
    from sfumato.encode.bert_text import BertText
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.space import Space
    from sfumato.stage import Stage

READ = ("unet", "vqvae", "bert", "tokenizer", "scheduler")
SUITS = Suits(steps=50, guidance=(ClassifierFree(5.0),), sampler=DDIM())


class TextLatents(Format):
    """A U-Net of latents, told words by an encoder that was trained with it."""

    title = "latent diffusion of words"
    pipelines = ("LDMTextToImagePipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, controls=CONTROLS, suits=SUITS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        parts.check_others(*READ)
        schedule = parts_schedule(parts)
        unet = parts.network("unet", "UNet2DConditionModel", U_NET)
        space = _space(parts, engine)
        check_channels(parts, unet, space.channels, 0, "latents")
        text = _text(parts, engine, unet.config["cross_attention_dim"])
        return unet_stage(parts, engine, unet, space, schedule, [text], suits=SUITS)


def _space(parts: Parts, engine: Engine) -> Space:
    from sfumato.space import Latent
    from sfumato.space.deterministic import Deterministic

    if parts_of(parts.folder).get("vqvae") == "VQModel":
        return Deterministic(parts.network("vqvae", "VQModel", CODEBOOK), engine)
    return Latent(parts.network("vqvae", "AutoencoderKL", AUTOENCODER), engine)


def _text(parts: Parts, engine: Engine, width: int) -> BertText:
    from sfumato.encode.bert_text import BertText
    from sfumato.network.ldm_bert import LDM_BERT

    encoder = parts.network("bert", "LDMBertModel")
    parts.check_width("unet", width, encoder.config.d_model, "bert")
    tokenizer = parts.words("tokenizer", encoder.config.vocab_size, "BertTokenizer", "BertTokenizerFast")
    return BertText(tokenizer, engine.prepare(encoder, LDM_BERT), encoder.config.max_position_embeddings)


FORMATS.add("latent-diffusion-text", TextLatents())
