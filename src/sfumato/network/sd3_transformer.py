"""diffusers' `SD3Transformer2DModel` as a Backbone (Esser et al. 2024, "Scaling Rectified Flow Transformers")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from sfumato.condition import Condition, Controls, ImagePrompts, Text
from sfumato.network.attention_directives import Change, directed
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.image_prompts import prompted
from sfumato.network.planes import pooled_of, text_of
from sfumato.network.residuals import Residuals, residuals_of
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.picture import BadInput


def spec(network: Any) -> NetworkSpec:
    """The inputs of an `SD3Transformer2DModel`: x, its own time from 0 to 1000, a text and its pooled vector; what
    controls add, and what image prompts change."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "words", int(config["joint_attention_dim"]))),
            "pooled": Input(("rows", int(config["pooled_projection_dim"]))),
            "added": Input(("rows",), "object", needed=False),
            "prompts": Input(("changes",), "object", needed=False),
        },
        _forward,
    )


def _forward(
    network: Any,
    x: Tensor,
    t: Tensor,
    text: Tensor,
    pooled: Tensor,
    added: Residuals | None,
    prompts: Sequence[tuple[Any, Change]] | None,
) -> Tensor:
    with directed(network, None, prompts or ()):
        return network(
            x,
            timestep=t,
            encoder_hidden_states=text,
            pooled_projections=pooled,
            block_controlnet_hidden_states=None if added is None else added.skips,
            return_dict=False,
        )[0]


def sd3_backbone(network: Any, engine: Engine) -> NetworkBackbone:
    """The network as a backbone that is told sigma. Raises BadInput for an x larger than its table of places."""
    config = network.config
    width, pooled = int(config["joint_attention_dim"]), int(config["pooled_projection_dim"])
    largest = int(config["pos_embed_max_size"]) * int(config["patch_size"])

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        text = text_of(condition, width)
        if max(x.shape[2:]) > largest:
            raise BadInput(
                f"This network has places for {largest} x {largest} cells, and this picture takes {x.shape[3]} x "
                f"{x.shape[2]}: make it smaller."
            )
        vector, own = pooled_of(text, pooled), own_dtype(network)
        added = residuals_of(x, t, condition, {"text": text.embeds, "pooled": vector})
        beside = None if added is None else added.map(lambda a: a.to(own))
        prompts = prompted(network, condition, 1000 * t, x.shape[2] * x.shape[3] // int(config["patch_size"]) ** 2)
        named = {"text": text.embeds, "pooled": vector, "added": beside, "prompts": prompts or None}
        return {"x": x, "t": 1000 * t, **named}

    accepts = {Text: width, Controls: 0, ImagePrompts: 0}
    return NetworkBackbone(network, spec(network), accepts, told, engine=engine)
