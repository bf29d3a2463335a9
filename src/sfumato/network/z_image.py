"""Z-Image's transformer as a Backbone (Cai et al. 2025, "Z-Image")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Condition, Controls, Text
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.planes import text_of
from sfumato.network.residuals import Residuals, residuals_of
from sfumato.network.spec import Input, NetworkSpec, own_dtype


def spec(network: Any) -> NetworkSpec:
    """The inputs of a `ZImageTransformer2DModel`: x, sigma, a text and its mask, and what controls add."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "tokens", int(config["cap_feat_dim"]))),
            "text_mask": Input(("rows", "tokens"), "bool", needed=False),
            "added": Input(("rows",), "object", needed=False),
        },
        _forward,
    )


def _forward(
    network: Any, x: Tensor, t: Tensor, text: Tensor, text_mask: Tensor | None, added: Residuals | None
) -> Tensor:
    """F = eps - x0. The network's own time runs the other way, from 0 (noise) to 1 (clean), and so does its answer.

    It takes lists, of pictures as videos of one frame, and of texts of any length.
    """
    texts = texts_of(text, text_mask)
    length = padded(x.shape[2] * x.shape[3] // 4) + max(padded(len(each)) for each in texts)
    skips = enumerate(added.skips if added is not None else ())
    beside = {i: a[:, :length] for i, a in skips if a is not None}
    answers = network(list(x[:, :, None]), 1 - t, texts, controlnet_block_samples=beside or None, return_dict=False)[0]
    return -torch.stack(list(answers))[:, :, 0]


def texts_of(text: Tensor, mask: Tensor | None) -> list[Tensor]:
    """Texts (B, L, D) one by one, without what a mask (B, L) leaves out."""
    return list(text) if mask is None else [row[kept] for row, kept in zip(text, mask, strict=True)]


def padded(tokens: int) -> int:
    """How many tokens the network makes of so many: a multiple of 32."""
    return -(-tokens // 32) * 32


def z_image_backbone(network: Any, engine: Engine) -> NetworkBackbone:
    width = int(network.config["cap_feat_dim"])

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        text, own = text_of(condition, width), own_dtype(network)
        named = {"text": text.embeds, "text_mask": text.mask}
        added = residuals_of(x, t, condition, named)
        return {"x": x, "t": t, **named, "added": None if added is None else added.map(lambda a: a.to(own))}

    return NetworkBackbone(network, spec(network), {Text: width, Controls: 0}, told, engine=engine)
