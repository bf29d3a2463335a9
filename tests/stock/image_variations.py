"""Stable Diffusion's image variations."""

from __future__ import annotations

from typing import Any

from stock.unets import SIDE, WIDTH, parts

NAME = "image-variations"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}


def build() -> Any:
    from diffusers import StableDiffusionImageVariationPipeline
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

    found = parts(texts=False)
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=37,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=8,
    )
    return StableDiffusionImageVariationPipeline(
        **found,
        image_encoder=CLIPVisionModelWithProjection(config).eval(),
        feature_extractor=CLIPImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        safety_checker=None,
        requires_safety_checker=False,
    )


def parity(theirs: Any, ours: Any) -> float:
    from sfumato.guide import ClassifierFree
    from stock.compare import latents_apart
    from stock.edits import photo

    said = {"images": [photo(SIZE)], "guidance": [ClassifierFree(5.0)]}
    return latents_apart(theirs, ours, photo(SIZE), said=said, guidance_scale=5.0, width=SIDE, height=SIDE)
