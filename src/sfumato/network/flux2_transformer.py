"""diffusers' `Flux2Transformer2DModel` as a Backbone: every cell of x is a token, words and pictures beside them.

Black Forest Labs 2025, "FLUX.2". A token has four coordinates: which picture, row, column, and which word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Condition, GuidanceScale, Part, References, Text
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.planes import text_of
from sfumato.network.spec import Input, NetworkSpec

APART = 10  # between the first coordinates of one picture and the next


def spec(network: Any) -> NetworkSpec:
    """The inputs of a `Flux2Transformer2DModel`: tokens of x and of pictures beside it, their own time in [0, 1], a
    text, where every token stands, and, if its guidance was distilled, the scale."""
    config = network.config
    scale = {"guidance": Input(("rows",), "float32")} if config["guidance_embeds"] else {}
    return NetworkSpec(
        {
            "x": Input(("rows", "tokens", int(config["in_channels"]))),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "words", int(config["joint_attention_dim"]))),
            "places": Input(("tokens", 4), "float32"),
            "text_places": Input(("words", 4), "float32"),
            **scale,
        },
        _forward,
    )


def _forward(
    network: Any,
    x: Tensor,
    t: Tensor,
    text: Tensor,
    places: Tensor,
    text_places: Tensor,
    guidance: Tensor | None = None,
) -> Tensor:
    return network(
        x,
        timestep=t,
        encoder_hidden_states=text,
        img_ids=places,
        txt_ids=text_places,
        guidance=guidance,
        return_dict=False,
    )[0]


def flux2_backbone(network: Any, engine: Engine) -> NetworkBackbone:
    """The network as a backbone of x, which may look at reference pictures."""
    config = network.config
    width = int(config["joint_attention_dim"])
    accepts: dict[type[Part], int] = {Text: width, References: int(config["in_channels"])}
    accepts |= {GuidanceScale: 1} if config["guidance_embeds"] else {}

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        text, scale, shown = text_of(condition, width), condition.get(GuidanceScale), condition.get(References)
        pictures = [x, *(shown.pictures if shown is not None else ())]
        return {
            "x": torch.cat([picture.to(x).flatten(2).transpose(1, 2) for picture in pictures], 1),
            "t": t,
            "text": text.embeds,
            "places": torch.cat([places(APART * i, *picture.shape[2:]) for i, picture in enumerate(pictures)]).to(x),
            "text_places": words(text.embeds.shape[1]).to(x),
            **({} if scale is None else {"guidance": scale.value}),
        }

    return NetworkBackbone(network, spec(network), accepts, told, _picture, engine)


def places(which: int, height: int, width: int) -> Tensor:
    """(which picture, row, column, 0) of every cell, (h w, 4)."""
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.full_like(row, which), row, column, torch.zeros_like(row)], -1).flatten(0, 1)


def words(count: int) -> Tensor:
    """(0, 0, 0, which word) of every word, (count, 4)."""
    return torch.nn.functional.pad(torch.arange(count)[:, None], (3, 0))


def _picture(answer: Tensor, x: Tensor) -> Tensor:
    """The first tokens of an answer in x's shape; those of reference pictures are left out."""
    return answer[:, : x.shape[2] * x.shape[3]].transpose(1, 2).unflatten(2, tuple(x.shape[2:]))
