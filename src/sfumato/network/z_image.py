"""Z-Image's transformer as a Backbone (Cai et al. 2025, "Z-Image")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Condition, Text
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.planes import text_of
from sfumato.network.spec import Input, NetworkSpec


def spec(network: Any) -> NetworkSpec:
    """The inputs of a `ZImageTransformer2DModel`: x, sigma, a text and its mask."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "tokens", int(config["cap_feat_dim"]))),
            "text_mask": Input(("rows", "tokens"), "bool", needed=False),
        },
        _forward,
    )


def _forward(network: Any, x: Tensor, t: Tensor, text: Tensor, text_mask: Tensor | None) -> Tensor:
    """F = eps - x0. The network's own time runs the other way, from 0 (noise) to 1 (clean), and so does its answer.

    It takes lists, of pictures as videos of one frame, and of texts of any length.
    """
    texts = list(text) if text_mask is None else [row[kept] for row, kept in zip(text, text_mask, strict=True)]
    answers = network(list(x[:, :, None]), 1 - t, texts, return_dict=False)[0]
    return -torch.stack(list(answers))[:, :, 0]


def z_image_backbone(network: Any, engine: Engine) -> NetworkBackbone:
    width = int(network.config["cap_feat_dim"])

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        text = text_of(condition, width)
        return {"x": x, "t": t, "text": text.embeds, "text_mask": text.mask}

    return NetworkBackbone(network, spec(network), {Text: width}, told, engine=engine)
