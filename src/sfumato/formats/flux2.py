"""FLUX.2 [klein] and [dev]: a flow-matching transformer that looks at pictures, told words by a chat model.

`model_index.json` names transformer, vae (`AutoencoderKLFlux2`), text_encoder, tokenizer and scheduler. It says
`is_distilled` of a [klein] that was distilled into four steps without guidance; its base is guided (`ClassifierFree`).
Guidance was distilled into [dev], which is told its scale (`Distilled`). [klein] reads words with Qwen3, [dev] with
Mistral Small; neither shows its chat model the pictures.

The shift depends on the number of tokens and, a little, on that of the steps (`FlowBySteps`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.flow_config import flow_schedule
from sfumato.formats.folder import config_of, index_of, parts_of
from sfumato.formats.format import FORMATS, Format
from sfumato.guide import ClassifierFree, Distilled
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import Euler

if TYPE_CHECKING:
    from sfumato.encode import ChatText
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.schedule import Flow
    from sfumato.stage import Stage

READ = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
CELLS = 64  # along the side of what it was trained at
MOST = 10  # reference pictures
LONGEST = 512  # tokens of a text, what is asked with it included


@dataclass(frozen=True)
class Reader:
    """How a chat model reads words: the layers whose hidden states are told, what it is asked, and the classes of its
    tokenizer."""

    layers: tuple[int, ...]
    asked: str
    tokenizers: tuple[str, ...]


READERS = {
    "Qwen3ForCausalLM": Reader(
        (9, 18, 27),
        "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ("Qwen2Tokenizer", "Qwen2TokenizerFast"),
    ),
    "Mistral3ForConditionalGeneration": Reader(
        (10, 20, 30),
        "<s>[SYSTEM_PROMPT]You are an AI that reasons about image descriptions. You give structured responses focusing "
        "on object relationships, object\nattribution and actions without speculation.[/SYSTEM_PROMPT][INST]{}[/INST]",
        ("PixtralProcessor", "LlamaTokenizer", "LlamaTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"),
    ),
}
"""By the class of text_encoder. Asked is as the models were trained; Qwen3 begins an answer without thinking of it."""
TRANSFORMER: Mapping[str, Any] = {"patch_size": 1}


class Flux2(Format):
    """A `Flux2Transformer2DModel` told the words of a chat model (Black Forest Labs 2025)."""

    title = "FLUX.2 (klein, dev)"
    pipelines = ("Flux2KleinPipeline", "Flux2KleinInpaintPipeline", "Flux2Pipeline")

    def capabilities(self, folder: Path) -> Capabilities:
        distilled = bool(config_of(folder, "transformer").get("guidance_embeds", True))
        return Capabilities(text=True, joint=True, distilled=distilled, references=MOST, suits=_suits(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.denoise import Preconditioned
        from sfumato.encode import Encoder, ReferenceLatents, ToldScale
        from sfumato.encode.reference_latents import of_area
        from sfumato.network.flux2_transformer import flux2_backbone
        from sfumato.space.patched_latent import PatchedLatent
        from sfumato.stage import Stage

        parts.check_others(*READ)
        transformer = parts.network("transformer", "Flux2Transformer2DModel", TRANSFORMER)
        space = PatchedLatent(parts.network("vae", "AutoencoderKLFlux2", {"patch_size": [2, 2]}), engine)
        takes, gives = transformer.config["in_channels"], transformer.out_channels
        if (takes, gives) != (space.channels, space.channels):
            raise BadInput(
                f"The transformer of {parts.model} takes {takes} channels and answers {gives}; the patches of its vae "
                f"have {space.channels}."
            )
        suits = _suits(parts.folder)
        flow_schedule(parts.scheduler(), parts.model, lambda size: 1)  # refuses what is not understood

        def schedule_at(size: tuple[int, int]) -> Flow:
            from sfumato.schedule import FlowBySteps

            def shift_at(steps: int) -> float:
                return math.exp(shift((size[0] // space.factor) * (size[1] // space.factor), steps))

            return FlowBySteps(shift_at(suits.steps), shift_at=shift_at)

        size, multiple = (CELLS * space.factor, CELLS * space.factor), math.lcm(space.factor, 4)
        encoders: list[Encoder] = [_text(parts, engine, transformer.config["joint_attention_dim"])]
        encoders += [ToldScale()] if transformer.config["guidance_embeds"] else []
        encoders += [ReferenceLatents(space, MOST, of_area(multiple))]
        return Stage(
            "picture",
            space,
            Preconditioned(flux2_backbone(transformer, engine), schedule_at(size), "flow", "sigma"),
            tuple(encoders),
            size=size,
            multiple=multiple,  # a recipe's sides are multiples of 4
            networks=parts.networks,
            device=parts.device,
            suits=suits,
            schedule_at=schedule_at,
        )


def shift(tokens: int, steps: int) -> float:
    """mu, the logarithm of the schedule's shift, as Black Forest Labs fitted it: two straight lines of the number of
    tokens, for 10 and for 200 steps, and between them one of the number of steps; that of 200 above 4300 tokens."""
    at_10, at_200 = 8.73809524e-05 * tokens + 1.89833333, 0.00016927 * tokens + 0.45666666
    if tokens > 4300:
        return at_200
    return at_200 + (at_200 - at_10) / 190 * (steps - 200)


def _suits(folder: Path) -> Suits:
    """What Black Forest Labs recommend."""
    if config_of(folder, "transformer").get("guidance_embeds", True):
        return Suits(steps=50, guidance=(Distilled(4.0),), sampler=Euler())
    if index_of(folder).get("is_distilled"):
        return Suits(steps=4, guidance=(), sampler=Euler())
    return Suits(steps=50, guidance=(ClassifierFree(4.0),), sampler=Euler())


def _text(parts: Parts, engine: Engine, wanted: int) -> ChatText:
    """Three hidden states of the chat model beside one another, of a text that is filled up to its window."""
    from sfumato.encode import ChatText
    from sfumato.network.chat_model import chat_states

    kind = parts_of(parts.folder).get("text_encoder", "")
    reader = READERS.get(kind, READERS["Qwen3ForCausalLM"])
    model = parts.network("text_encoder", kind if kind in READERS else "Qwen3ForCausalLM")
    config = getattr(model.config, "text_config", model.config)
    width, layers, told = len(reader.layers) * config.hidden_size, config.num_hidden_layers, reader.layers
    if width != wanted or layers < told[-1]:
        raise BadInput(
            f"The transformer of {parts.model} takes texts {wanted} wide, and those of the layers "
            f"{', '.join(map(str, told))} of its text_encoder, which has {layers}, are {width}."
        )
    tokenizer = parts.words("tokenizer", config.vocab_size, *reader.tokenizers)
    return ChatText(tokenizer, engine.prepare(model, chat_states(told)), reader.asked, longest=LONGEST, filled=True)


FORMATS.add("flux2", Flux2())
