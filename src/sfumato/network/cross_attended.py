"""Transformers of latents that attend to words by cross-attention, as Backbones: PixArt's and Sana's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from sfumato.condition import Condition, Controls, GuidanceScale, Part, Text
from sfumato.network.attention_directives import DIRECTIVES, Change, directed, directives_of
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.planes import text_of
from sfumato.network.residuals import Residuals, residuals_of
from sfumato.network.spec import Input, NetworkSpec, own_dtype


def pixart_backbone(network: Any, engine: Engine, cell: int) -> NetworkBackbone:
    """`PixArtTransformer2DModel` (Chen et al. 2023, 2024): x, its time, a text and its mask; PixArt-alpha of 1024
    pixels is told the size of the picture, in pixels, and its height over its width.

    cell: pixels along a side of a cell of x.
    """

    def forward(
        network: Any,
        x: Tensor,
        t: Tensor,
        text: Tensor,
        text_mask: Tensor | None,
        directives: Condition | None,
        added: Residuals | None,
    ) -> Tensor:
        skips = () if added is None else added.skips
        with directed(network, directives, added_to(network.transformer_blocks, skips)):
            return network(
                x,
                encoder_hidden_states=text,
                encoder_attention_mask=text_mask,
                timestep=t,
                added_cond_kwargs=sizes_of(network, x, cell),
                return_dict=False,
            )[0]

    config = network.config
    width = config["caption_channels"] or config["cross_attention_dim"]
    inputs = {"directives": Input(("rows",), "object", needed=False)}
    spec = NetworkSpec({**_inputs(config["in_channels"], width), **inputs}, forward)

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        return {**_told(network, x, t, condition, width), "directives": directives_of(condition)}

    accepts = {Text: width, Controls: 0, **dict.fromkeys(DIRECTIVES, 0)}
    return NetworkBackbone(network, spec, accepts, told, engine=engine)


def sizes_of(network: Any, x: Tensor, cell: int) -> dict[str, Tensor | None]:
    """What a PixArt that is told sizes is told for x, of `cell` pixels along a side of a cell."""
    height, width = (cell * side for side in x.shape[2:])
    told = {"resolution": x.new_tensor([[height, width]]), "aspect_ratio": x.new_tensor([[height / width]])}
    return {
        name: value.expand(len(x), -1) if network.use_additional_conditions else None for name, value in told.items()
    }


def added_to(blocks: Sequence[Any], skips: Sequence[Tensor | None]) -> list[tuple[Any, Change]]:
    """Each block's answer with what is added to it."""

    def adding(skip: Tensor) -> Change:
        return lambda block, hidden, named, output: output + skip

    return [(block, adding(skip)) for block, skip in zip(blocks, skips, strict=False) if skip is not None]


def sana_backbone(network: Any, engine: Engine) -> NetworkBackbone:
    """`SanaTransformer2DModel` (Xie et al. 2024): x, 1000 sigma times the config's `timestep_scale`, a text, its mask.

    One with `guidance_embeds` (Sana-Sprint; Chen et al. 2025) is told sigma itself, and the scale of a distilled
    guidance, times `guidance_embeds_scale`. Its self-attention is linear: there are no maps that could be directed. Of
    an answer with a learned variance the mean is kept.
    """
    config = network.config
    width, sprints = config["caption_channels"], config["guidance_embeds"]
    scale = 1 if sprints else 1000 * config["timestep_scale"]

    def forward(
        network: Any,
        x: Tensor,
        t: Tensor,
        text: Tensor,
        text_mask: Tensor | None,
        added: Residuals | None,
        guidance: Tensor | None = None,
    ) -> Tensor:
        answer = network(
            x,
            encoder_hidden_states=text,
            encoder_attention_mask=text_mask,
            guidance=guidance,
            timestep=scale * t,
            controlnet_block_samples=None if added is None else added.skips[1:],  # the first block is given none
            return_dict=False,
        )[0]
        return answer[:, : x.shape[1]]

    more = {"guidance": Input(("rows",))} if sprints else {}
    spec = NetworkSpec({**_inputs(config["in_channels"], width), **more}, forward)

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        told, scale = _told(network, x, t, condition, width), condition.get(GuidanceScale)
        return told if scale is None else {**told, "guidance": scale.value * config["guidance_embeds_scale"]}

    accepts: dict[type[Part], int] = {Text: width, Controls: 0, **({GuidanceScale: 1} if sprints else {})}
    return NetworkBackbone(network, spec, accepts, told, engine=engine)


def _inputs(channels: int, width: int) -> dict[str, Input]:
    return {
        "x": Input(("rows", int(channels), "height", "width")),
        "t": Input(("rows",), "float32"),
        "text": Input(("rows", "tokens", int(width))),
        "text_mask": Input(("rows", "tokens"), "bool", needed=False),
        "added": Input(("rows",), "object", needed=False),
    }


def _told(network: Any, x: Tensor, t: Tensor, condition: Condition, width: int) -> dict[str, Any]:
    text, own = text_of(condition, width), own_dtype(network)
    named = {"text": text.embeds, "text_mask": text.mask}
    added = residuals_of(x, t, condition, named)
    return {"x": x, "t": t, **named, "added": None if added is None else added.map(lambda a: a.to(own))}
