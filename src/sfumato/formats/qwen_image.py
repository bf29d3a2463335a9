"""Qwen-Image and Qwen-Image-Edit (Wu et al. 2025, "Qwen-Image Technical Report").

transformer, vae, text_encoder (Qwen2.5-VL), tokenizer and scheduler; those that edit have a processor too, which says
how their chat model sees pictures.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.flow_config import flow_schedule, terminal
from sfumato.formats.folder import read_json, scheduler_of
from sfumato.formats.format import FORMATS, Format
from sfumato.guide import NormPreserving
from sfumato.picture.errors import BadInput, name_of
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import DDIM
from sfumato.times import DEFAULT_GRID, StretchedGrid

if TYPE_CHECKING:
    from PIL import Image

    from sfumato.encode import ChatText, Encoder
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.space import Space
    from sfumato.stage import Stage

TRANSFORMER = {"guidance_embeds": False, "use_additional_t_cond": False, "use_layer3d_rope": False}
"""Fields of the transformer that are inputs of their own: a guidance scale, and what Qwen-Image-Layered is told."""

READ = ("transformer", "vae", "text_encoder", "tokenizer", "processor", "scheduler")
TOKENIZERS = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
LONGEST = 1024  # tokens of a prompt
AREA, SEEN = 1024**2, 384**2  # pixels of a picture that is shown: to the network; to the chat model beside others
CELLS = 128  # along a side of what it was trained at
CONTROLS = ("residuals",)  # what the transformer takes from controls
MOST = 3  # pictures that the later Qwen-Image-Edit looks at

ASKED = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
ASKED_TO_EDIT = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. Generate a new image "
    "that meets the user's requirements while maintaining consistency with the original input where appropriate."
    "<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
DROPPED, DROPPED_TO_EDIT = 34, 64
"""The templates that it was trained with, and how many of their first tokens the network is not shown."""


class QwenImage(Format):
    """Words, read by a chat model, to pictures."""

    title = "Qwen-Image"
    pipelines = ("QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline")
    edits = False

    def capabilities(self, folder: Path) -> Capabilities:
        references = 0 if not self.edits else MOST if _several(folder) else 1
        return Capabilities(text=True, joint=True, references=references, controls=CONTROLS, suits=_suits(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.denoise import Preconditioned
        from sfumato.encode import ReferenceLatents
        from sfumato.network.qwen_image import qwen_image_backbone
        from sfumato.space.one_frame import OneFrame
        from sfumato.stage import Stage

        parts.check_others(*READ)
        network = parts.network("transformer", "QwenImageTransformer2DModel", TRANSFORMER)
        space = OneFrame(parts.network("vae", "AutoencoderKLQwenImage"), engine)
        _check_channels(network.config, space, parts.model)
        cell = 2 * space.factor

        def tokens(size: tuple[int, int]) -> int:
            return (size[0] // cell) * (size[1] // cell)

        schedule_at = flow_schedule(parts.scheduler(), parts.model, tokens)
        size = (CELLS * space.factor, CELLS * space.factor)
        text = self._text(parts, engine, network.config["joint_attention_dim"])
        encoders: tuple[Encoder, ...] = (text,)
        if self.edits:
            most = MOST if _several(parts.folder) else 1
            encoders = (text, ReferenceLatents(space, most, lambda picture, size: scaled(picture, AREA)))
        return Stage(
            "picture",
            space,
            Preconditioned(qwen_image_backbone(network, engine, self.edits), schedule_at(size), "flow", "sigma"),
            encoders,
            size=size,
            multiple=math.lcm(cell, 4),
            networks=parts.networks,
            controls=CONTROLS,
            device=parts.device,
            suits=_suits(parts.folder),
            schedule_at=schedule_at,
        )

    def _text(self, parts: Parts, engine: Engine, width: int) -> ChatText:
        from sfumato.encode import ChatText, VisionPatches
        from sfumato.network.chat_model import chat_states

        encoder = parts.network("text_encoder", "Qwen2_5_VLForConditionalGeneration")
        config = encoder.config.text_config
        parts.check_width("transformer", width, config.hidden_size)
        tokenizer = parts.words("tokenizer", config.vocab_size, *TOKENIZERS)
        run = engine.prepare(encoder, chat_states())
        if not self.edits:
            return ChatText(tokenizer, run, ASKED, drop=DROPPED, longest=LONGEST)
        several = _several(parts.folder)
        patches = VisionPatches.from_config(
            read_json(parts.place("processor") / "preprocessor_config.json"), f"processor of {parts.model}"
        )
        return ChatText(
            tokenizer,
            run,
            _asked_about_several if several else _asked_about_one,
            drop=DROPPED_TO_EDIT,
            longest=LONGEST,
            patches=patches,
            sized=lambda picture: scaled(picture, SEEN if several else AREA),
        )


class QwenImageEdit(QwenImage):
    """Words and pictures, read by a chat model, to pictures; the network looks at the pictures too."""

    title = "Qwen-Image-Edit"
    pipelines = ("QwenImageEditPipeline", "QwenImageEditInpaintPipeline", "QwenImageEditPlusPipeline")
    edits = True


def scaled(picture: Image.Image, area: int) -> Image.Image:
    """The picture at about so many pixels, each side a multiple of 32."""
    from PIL import Image

    width, height = picture.size
    wide = math.sqrt(area * width / height)
    wide, high = (max(round(side / 32) * 32, 32) for side in (wide, wide * height / width))
    return picture.convert("RGB").resize((wide, high), Image.Resampling.LANCZOS)


def _asked_about_one(prompt: str, pictures: int) -> str:
    from sfumato.encode.chat_text import PICTURE

    return ASKED_TO_EDIT.format(PICTURE * pictures + prompt)


def _asked_about_several(prompt: str, pictures: int) -> str:
    from sfumato.encode.chat_text import PICTURE

    return ASKED_TO_EDIT.format("".join(f"Picture {n + 1}: {PICTURE}" for n in range(pictures)) + prompt)


def _several(folder: Path) -> bool:
    """Whether it is the later Qwen-Image-Edit, which is shown several pictures."""
    from sfumato.formats.folder import index_of

    return index_of(folder).get("_class_name") == "QwenImageEditPlusPipeline"


def _suits(folder: Path) -> Suits:
    end = terminal(scheduler_of(folder), f"the model in {name_of(folder)}")
    times = DEFAULT_GRID if end is None else StretchedGrid(end)
    return Suits(steps=50, guidance=(NormPreserving(),), sampler=DDIM(), times=times)


def _check_channels(config: Any, space: Space, model: str) -> None:
    takes, gives, patch = config["in_channels"], config["out_channels"], config["patch_size"]
    if patch != 2 or takes != 4 * space.channels or gives != space.channels:
        raise BadInput(
            f"The transformer of {model} takes {takes} values a token and answers {gives} in patches of {patch}: for "
            f"latents of {space.channels} channels it must be {4 * space.channels}, {space.channels} and 2."
        )


FORMATS.add("qwen-image", QwenImage())
FORMATS.add("qwen-image-edit", QwenImageEdit())
