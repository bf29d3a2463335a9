"""Qwen-Image-Edit, the first and the later one: tiny, random."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from transformers.processing_utils import ProcessorMixin

from stock import qwen_image

NAME = "qwen-image-edit"
SIZE = (32, 32)
CALL: dict[str, Any] = {"negative_prompt": "", "true_cfg_scale": 4.0, "image": Image.new("RGB", SIZE, "teal")}


class Qwen2VLProcessor(ProcessorMixin):
    """transformers' own asks for torchvision, for videos; this one has its tokenizer and its picture half alone."""

    __module__ = "transformers"

    def __init__(self, pictures: Any, tokenizer: Any) -> None:
        self.pictures, self.words = pictures, tokenizer

    def __call__(self, text: list[str], images: Any = None, **options: Any) -> Any:  # type: ignore[override]
        seen = self.pictures(images=images, return_tensors="pt")
        left = [int(grid.prod()) // self.pictures.merge_size**2 for grid in seen["image_grid_thw"]]
        whole = [
            "".join(part + ("<|image_pad|>" * left[n] if n < len(left) else "") for n, part in enumerate(parts))
            for parts in (each.split("<|image_pad|>") for each in text)
        ]
        return type(seen)({**self.words(whole, padding=True, return_tensors="pt"), **seen})

    def save_pretrained(self, folder: Any, **options: Any) -> None:  # type: ignore[override]
        self.pictures.save_pretrained(folder)


def build(several: bool = False) -> Any:
    """several: the later one, `QwenImageEditPlusPipeline`."""
    import diffusers
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    parts = qwen_image.parts()
    pictures = Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    )
    kind = diffusers.QwenImageEditPlusPipeline if several else diffusers.QwenImageEditPipeline
    pipeline = kind(**parts, processor=Qwen2VLProcessor(pictures, parts["tokenizer"]))
    _place_pictures_on_their_grid(pipeline.text_encoder)
    return pipeline


def _place_pictures_on_their_grid(encoder: Any) -> None:
    """diffusers 0.42 does not tell the chat model which tokens are a picture's, and transformers 5 then places them in
    a row, as if they were words; the chat model was trained with their places on the picture, which older versions
    found by themselves."""

    def told(module: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        shown = (given["input_ids"] == module.config.image_token_id).to(torch.int)
        return args, {**given, "mm_token_type_ids": shown}

    encoder.register_forward_pre_hook(told, with_kwargs=True)


def small(monkeypatch: Any, area: int) -> None:
    """Reference pictures of so many pixels, where they are 1024 x 1024 of a real model; 384 x 384 become an eighth."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit as one
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_inpaint as mended
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as several

    from sfumato.formats import qwen_image as ours

    for module in (one, mended, several):
        stock = module.calculate_dimensions

        def calculated(pixels: int, ratio: float, stock: Any = stock) -> Any:
            return stock({1024**2: area, 384**2: area // 4}.get(pixels, pixels), ratio)

        monkeypatch.setattr(module, "calculate_dimensions", calculated)
    monkeypatch.setattr(ours, "AREA", area)
    monkeypatch.setattr(ours, "SEEN", area // 4)


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    from stock.edits import photo

    told = {"images": [photo(SIZE)], "negative": " ", "guidance": None}
    return told, {"negative_prompt": " ", "true_cfg_scale": 4.0}


def parity(theirs: Any, ours: Any) -> float:
    """Decoded, with pictures of few pixels."""
    import pytest

    from stock.compare import decoded_apart, noise, tokens, walked
    from stock.edits import photo

    theirs.set_progress_bar_config(disable=True)
    several = ours.stage.capabilities.references > 1
    shown = [photo((60, 40), 1), photo((32, 48), 2)] if several else [photo((60, 40), 1)]
    x = noise(ours, SIZE)
    words = {"prompt": "make the hat red", "width": SIZE[0], "height": SIZE[1]}
    with pytest.MonkeyPatch.context() as patch:
        small(patch, 64 * 64)
        asked = {"negative_prompt": " ", "true_cfg_scale": 4.0, "num_inference_steps": 4, "output_type": "np", **words}
        made = theirs(image=shown if several else shown[0], latents=tokens(x), **asked).images
        return decoded_apart(made, ours, walked(ours, x, negative=" ", steps=4, images=shown, **words))
