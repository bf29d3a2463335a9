"""Transformers of latents that attend to words by cross-attention, as Backbones: PixArt's and Sana's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sfumato.condition import Condition, Text
from sfumato.network.attention_directives import DIRECTIVES, directed, directives_of
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.planes import text_of
from sfumato.network.spec import Input, NetworkSpec


def pixart_backbone(network: Any, engine: Engine, cell: int) -> NetworkBackbone:
    """`PixArtTransformer2DModel` (Chen et al. 2023, 2024): x, its time, a text and its mask; PixArt-alpha of 1024
    pixels is told the size of the picture, in pixels, and its height over its width.

    cell: pixels along a side of a cell of x.
    """
    sized = bool(network.use_additional_conditions)

    def forward(
        network: Any, x: Tensor, t: Tensor, text: Tensor, text_mask: Tensor | None, directives: Condition | None
    ) -> Tensor:
        height, width = (cell * side for side in x.shape[2:])
        told = {"resolution": x.new_tensor([[height, width]]), "aspect_ratio": x.new_tensor([[height / width]])}
        sizes = {name: value.expand(len(x), -1) if sized else None for name, value in told.items()}
        with directed(network, directives):
            return network(
                x,
                encoder_hidden_states=text,
                encoder_attention_mask=text_mask,
                timestep=t,
                added_cond_kwargs=sizes,
                return_dict=False,
            )[0]

    config = network.config
    width = config["caption_channels"] or config["cross_attention_dim"]
    inputs = {"directives": Input(("rows",), "object", needed=False)}
    spec = NetworkSpec({**_inputs(config["in_channels"], width), **inputs}, forward)

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        return {**_told(x, t, condition, width), "directives": directives_of(condition)}

    return NetworkBackbone(network, spec, {Text: width, **dict.fromkeys(DIRECTIVES, 0)}, told, engine=engine)


def sana_backbone(network: Any, engine: Engine) -> NetworkBackbone:
    """`SanaTransformer2DModel` (Xie et al. 2024): x, 1000 sigma times the config's `timestep_scale`, a text, its mask.

    Its self-attention is linear: there are no maps that could be directed. Of an answer with a learned variance the
    mean is kept.
    """
    config = network.config
    width, scale = config["caption_channels"], 1000 * config["timestep_scale"]

    def forward(network: Any, x: Tensor, t: Tensor, text: Tensor, text_mask: Tensor | None) -> Tensor:
        answer = network(
            x, encoder_hidden_states=text, encoder_attention_mask=text_mask, timestep=scale * t, return_dict=False
        )[0]
        return answer[:, : x.shape[1]]

    spec = NetworkSpec(_inputs(config["in_channels"], width), forward)
    return NetworkBackbone(network, spec, {Text: width}, lambda x, t, told: _told(x, t, told, width), engine=engine)


def _inputs(channels: int, width: int) -> dict[str, Input]:
    return {
        "x": Input(("rows", int(channels), "height", "width")),
        "t": Input(("rows",), "float32"),
        "text": Input(("rows", "tokens", int(width))),
        "text_mask": Input(("rows", "tokens"), "bool", needed=False),
    }


def _told(x: Tensor, t: Tensor, condition: Condition, width: int) -> dict[str, Any]:
    text = text_of(condition, width)
    return {"x": x, "t": t, "text": text.embeds, "text_mask": text.mask}
