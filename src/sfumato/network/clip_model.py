"""transformers' `CLIPModel` as an engine runs it: one tower at a time, into the space that both share."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec


def _image(network: Any, pixels: Tensor) -> Tensor:
    return network.visual_projection(network.vision_model(pixel_values=pixels).pooler_output)


def _text(network: Any, ids: Tensor) -> Tensor:
    return network.text_projection(network.text_model(input_ids=ids).pooler_output)


IMAGE_TOWER = NetworkSpec({"pixels": Input(("rows", "channels", "height", "width"))}, _image)
"""Pictures -> (rows, projection_dim), not yet of unit length."""
TEXT_TOWER = NetworkSpec({"ids": Input(("rows", "tokens"), "int64")}, _text)
"""Tokens -> (rows, projection_dim), not yet of unit length."""
