"""Sana (Xie et al. 2024, "SANA: Efficient High-Resolution Image Synthesis with Linear Diffusion Transformers").

transformer, vae (an AutoencoderDC of 32 pixels a cell), text_encoder (Gemma-2), tokenizer and scheduler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.flow_config import flow_of
from sfumato.formats.folder import parts_of
from sfumato.formats.format import FORMATS, Format
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits

if TYPE_CHECKING:
    from sfumato.encode import InstructedText
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.schedule import Flow
    from sfumato.stage import Stage

PLAIN = {"guidance_embeds": False}
"""A guidance scale is told to Sana-Sprint alone (`sana_sprint`)."""

READ = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
ENCODERS = ("Gemma2Model", "Gemma2ForCausalLM")
TOKENIZERS = ("GemmaTokenizer", "GemmaTokenizerFast")
LONGEST = 300  # tokens of a prompt
SUITS = Suits(guidance=(ClassifierFree(4.5),))

INSTRUCTION = "\n".join(
    (
        "Given a user prompt, generate an 'Enhanced prompt' that provides detailed visual descriptions suitable for "
        "image generation. Evaluate the level of detail in the user prompt:",
        "- If the prompt is simple, focus on adding specifics about colors, shapes, sizes, textures, and spatial "
        "relationships to create vivid and concrete scenes.",
        "- If the prompt is already detailed, refine and enhance the existing details slightly without "
        "overcomplicating.",
        "Here are examples of how to transform or refine prompts:",
        "- User Prompt: A cat sleeping -> Enhanced: A small, fluffy white cat curled up in a round shape, sleeping "
        "peacefully on a warm sunny windowsill, surrounded by pots of blooming red flowers.",
        "- User Prompt: A busy city street -> Enhanced: A bustling city street scene at dusk, featuring glowing street "
        "lamps, a diverse crowd of people in colorful clothing, and a double-decker bus passing by towering glass "
        "skyscrapers.",
        "Please generate only the enhanced description for the prompt below and avoid including any additional "
        "commentary or evaluations:",
        "User Prompt: ",
    )
)
"""What it was trained to read before a prompt."""

CONTROLS = ("residuals",)  # what the transformer takes from controls


class Sana(Format):
    """Words, read by a small chat model, to pictures; linear attention."""

    title = "Sana"
    pipelines = ("SanaPipeline", "SanaPAGPipeline")

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, joint=True, controls=CONTROLS, suits=SUITS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        return sana_stage(parts, engine, flow_of(parts.scheduler(), parts.model), PLAIN, SUITS)


def sana_stage(parts: Parts, engine: Engine, schedule: Flow, neutral: Mapping[str, Any], suits: Suits) -> Stage:
    """The Stage of the parts of a Sana; one that is told the scale of its guidance is a consistency function."""
    from sfumato.denoise import Preconditioned
    from sfumato.encode import ToldScale
    from sfumato.network.cross_attended import sana_backbone
    from sfumato.space.deterministic import Deterministic
    from sfumato.stage import Stage

    parts.check_others(*READ)
    network = parts.network("transformer", "SanaTransformer2DModel", neutral)
    space = Deterministic(parts.network("vae", "AutoencoderDC"), engine)
    config = network.config
    takes, gives, sprints = config["in_channels"], config["out_channels"], config["guidance_embeds"]
    if takes != space.channels or gives not in (takes, 2 * takes):
        raise BadInput(
            f"The transformer of {parts.model} takes latents of {takes} channels and answers {gives}, and its "
            f"vae's have {space.channels}."
        )
    side = config["sample_size"] * space.factor
    text = _text(parts, engine, config["caption_channels"])
    return Stage(
        "picture",
        space,
        Preconditioned(sana_backbone(network, engine), schedule, "flow", "sigma", consistency=sprints),
        (text, ToldScale()) if sprints else (text,),
        size=(side, side),
        multiple=math.lcm(space.factor * config["patch_size"], 4),
        networks=parts.networks,
        controls=CONTROLS,
        device=parts.device,
        suits=suits,
    )


def _text(parts: Parts, engine: Engine, width: int) -> InstructedText:
    from sfumato.encode import InstructedText
    from sfumato.network.chat_model import chat_states

    named = parts_of(parts.folder).get("text_encoder", "")
    encoder = parts.network("text_encoder", named if named in ENCODERS else ENCODERS[0])
    parts.check_width("transformer", width, encoder.config.hidden_size)
    tokenizer = parts.words("tokenizer", encoder.config.vocab_size, *TOKENIZERS)
    return InstructedText(tokenizer, engine.prepare(encoder, chat_states()), INSTRUCTION, LONGEST)


FORMATS.add("sana", Sana())
