"""Qwen-Image's transformer as a Backbone: latents and pictures as tokens beside the words'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from sfumato.condition import Condition, Controls, Part, References, Text
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.planes import text_of
from sfumato.network.residuals import Residuals, residuals_of
from sfumato.network.spec import Input, NetworkSpec, own_dtype


def spec(network: Any) -> NetworkSpec:
    """The inputs of a `QwenImageTransformer2DModel`: x, sigma, a text and its mask, pictures that it looks at,
    and what controls add."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]) // 4, "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "tokens", int(config["joint_attention_dim"]))),
            "text_mask": Input(("rows", "tokens"), "bool", needed=False),
            "references": Input(("pictures",), "object", needed=False, neutral=()),
            "added": Input(("rows",), "object", needed=False),
        },
        _forward,
    )


def _forward(
    network: Any,
    x: Tensor,
    t: Tensor,
    text: Tensor,
    text_mask: Tensor | None,
    references: tuple[Tensor, ...],
    added: Residuals | None,
) -> Tensor:
    """F (B, C, h, w). Pictures stand behind x as further tokens, each with a place of its own (Wu et al. 2025, section
    2.4), and their answers are left out."""
    seen = [packed(each.to(x)) for each in (x, *references)]
    tokens = torch.cat([each.flatten(2).transpose(1, 2) for each in seen], dim=1)
    shapes = [[(1, *each.shape[2:]) for each in seen]] * len(x)
    more = tokens.shape[1] - seen[0][0, 0].numel()
    beside = None if added is None else added.map(lambda a: functional.pad(a, (0, 0, 0, more)))
    out = network(
        tokens,
        encoder_hidden_states=text,
        encoder_hidden_states_mask=text_mask,
        timestep=t,
        img_shapes=shapes,
        controlnet_block_samples=None if beside is None else beside.skips,
        return_dict=False,
    )[0]
    height, width = seen[0].shape[2:]
    return pixel_shuffle(out[:, : height * width].transpose(1, 2).unflatten(2, (height, width)), 2)


def packed(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, 4 C, h/2, w/2): one token for each square of 2 x 2."""
    return pixel_unshuffle(x, 2)


def qwen_image_backbone(network: Any, engine: Engine, references: bool) -> NetworkBackbone:
    """references: whether the network was trained to look at pictures."""
    width = int(network.config["joint_attention_dim"])
    accepts: dict[type[Part], int] = {Text: width, Controls: 0, **({References: 0} if references else {})}

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        text, shown, own = text_of(condition, width), condition.get(References), own_dtype(network)
        pictures = () if shown is None else shown.pictures
        named = {"text": text.embeds, "text_mask": text.mask}
        added = residuals_of(x, t, condition, named)
        beside = None if added is None else added.map(lambda a: a.to(own))
        return {"x": x, "t": t, **named, "references": pictures, "added": beside}

    return NetworkBackbone(network, spec(network), accepts, told, engine=engine)
