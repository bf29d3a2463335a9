"""Z-Image and Z-Image-Turbo (Cai et al. 2025, "Z-Image: An Efficient Image Generation Foundation Model").

transformer, vae (an AutoencoderKL), text_encoder (Qwen3), tokenizer and scheduler.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import AUTOENCODER
from sfumato.formats.flow_config import flow_schedule
from sfumato.formats.folder import parts_of, scheduler_of
from sfumato.formats.format import FORMATS, Format
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import DDIM

if TYPE_CHECKING:
    from sfumato.encode import ChatText
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

TRANSFORMER = {"all_patch_size": [2], "all_f_patch_size": [1], "siglip_feat_dim": None}
"""Fields of the transformer that make another network of it: other patches, and pictures as the Omni one sees them."""

READ = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
ENCODERS = ("Qwen3Model", "Qwen3ForCausalLM")
ASKED = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
LONGEST = 512  # tokens of a prompt with the template around it
CELLS = 128  # along a side of what it was trained at
TURBO = 3.0  # the shift of Z-Image-Turbo's scheduler, and at most; Z-Image's is 6

CONTROLS = ("residuals",)  # what the transformer takes from controls


class ZImage(Format):
    """Words, read by a chat model, to pictures."""

    title = "Z-Image"
    pipelines = ("ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline")

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, joint=True, controls=CONTROLS, suits=_suits(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.denoise import Preconditioned
        from sfumato.network.z_image import z_image_backbone
        from sfumato.space import Latent
        from sfumato.stage import Stage

        parts.check_others(*READ)
        network = parts.network("transformer", "ZImageTransformer2DModel", TRANSFORMER)
        space = Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine)
        if network.config["in_channels"] != space.channels:
            raise BadInput(
                f"The transformer of {parts.model} takes latents of {network.config['in_channels']} channels, and its "
                f"vae's have {space.channels}."
            )
        cell = 2 * space.factor

        def tokens(size: tuple[int, int]) -> int:
            return (size[0] // cell) * (size[1] // cell)

        schedule_at = flow_schedule(parts.scheduler(), parts.model, tokens)
        size = (CELLS * space.factor, CELLS * space.factor)
        return Stage(
            "picture",
            space,
            Preconditioned(z_image_backbone(network, engine), schedule_at(size), "flow", "sigma"),
            (_text(parts, engine, network.config["cap_feat_dim"]),),
            size=size,
            multiple=math.lcm(cell, 4),
            networks=parts.networks,
            controls=CONTROLS,
            device=parts.device,
            suits=_suits(parts.folder),
            schedule_at=schedule_at,
        )


def _text(parts: Parts, engine: Engine, width: int) -> ChatText:
    """The states before the last layer."""
    from sfumato.encode import ChatText
    from sfumato.network.chat_model import chat_states

    named = parts_of(parts.folder).get("text_encoder", "")
    encoder = parts.network("text_encoder", named if named in ENCODERS else ENCODERS[0])
    parts.check_width("transformer", width, encoder.config.hidden_size)
    tokenizer = parts.words("tokenizer", encoder.config.vocab_size, "Qwen2Tokenizer", "Qwen2TokenizerFast")
    return ChatText(tokenizer, engine.prepare(encoder, chat_states([-2])), ASKED, longest=LONGEST)


def _suits(folder: Path) -> Suits:
    """Turbo, which was distilled, paints in 8 steps without guidance; it is known by its scheduler's shift."""
    config = scheduler_of(folder)
    shift = config.get("shift", 1.0)
    if not config.get("use_dynamic_shifting") and isinstance(shift, int | float) and 1 < shift <= TURBO:
        return Suits(steps=8, guidance=(), sampler=DDIM())
    return Suits(steps=50, guidance=(ClassifierFree(),), sampler=DDIM())


FORMATS.add("z-image", ZImage())
