"""diffusers' `FluxTransformer2DModel` as a Backbone: latents in tokens of 2 x 2 cells, words beside them.

Black Forest Labs 2024, "FLUX"; Labs et al. 2025, "FLUX.1 Kontext", section 3: reference pictures are further tokens
behind those of x, told apart by the first of their three coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from sfumato.condition import Concat, Condition, Controls, GuidanceScale, ImagePrompts, Part, References, Text
from sfumato.network.attention_directives import Change, directed
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.image_prompts import prompted
from sfumato.network.planes import pooled_of, text_of, with_planes
from sfumato.network.redux import alike, with_words
from sfumato.network.residuals import Residuals, residuals_of
from sfumato.network.spec import Input, NetworkSpec, own_dtype

SIDE = 2  # cells along the side of a token


def spec(network: Any) -> NetworkSpec:
    """The inputs of a `FluxTransformer2DModel`: tokens of x and of what is beside it, their own time in [0, 1], a text
    and its pooled vector, where every token stands, if its guidance was distilled the scale, what controls add and
    image prompts change."""
    config = network.config
    scale = {"guidance": Input(("rows",), "float32")} if config["guidance_embeds"] else {}
    return NetworkSpec(
        {
            "x": Input(("rows", "tokens", int(config["in_channels"]))),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "words", int(config["joint_attention_dim"]))),
            "pooled": Input(("rows", int(config["pooled_projection_dim"]))),
            "places": Input(("tokens", 3), "float32"),
            "text_places": Input(("words", 3), "float32"),
            **scale,
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
    places: Tensor,
    text_places: Tensor,
    guidance: Tensor | None = None,
    added: Residuals | None = None,
    prompts: Sequence[tuple[Any, Change]] | None = None,
) -> Tensor:
    beside = added or Residuals()
    with directed(network, None, prompts or ()):
        return network(
            x,
            timestep=t,
            encoder_hidden_states=text,
            pooled_projections=pooled,
            img_ids=places,
            txt_ids=text_places,
            guidance=guidance,
            controlnet_block_samples=beside.skips or None,
            controlnet_single_block_samples=beside.singles or None,
            return_dict=False,
        )[0]


def flux_backbone(network: Any, engine: Engine, channels: int, references: bool = False) -> NetworkBackbone:
    """The network as a backbone of x with so many `channels`: further ones are the planes of a Concat.

    references: whether it was trained to look at reference pictures.
    """
    config = network.config
    planes = int(config["in_channels"]) // SIDE**2 - channels
    width, pooled = int(config["joint_attention_dim"]), int(config["pooled_projection_dim"])
    accepts: dict[type[Part], int] = {Text: width, Controls: 0, ImagePrompts: 0}
    accepts |= {GuidanceScale: 1} if config["guidance_embeds"] else {}
    accepts |= {Concat: planes} if planes else {}
    accepts |= {References: channels} if references else {}

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        text, scale, shown = text_of(condition, width), condition.get(GuidanceScale), condition.get(References)
        vector, read = pooled_of(text, pooled), with_words(text.embeds, condition)
        named = {"text": read, "pooled": vector, "guidance": None if scale is None else scale.value}
        added = residuals_of(x, t, condition, named)
        pictures = [with_planes(x, condition, planes), *(shown.pictures if shown is not None else ())]
        return {
            "x": torch.cat([tokens(picture.to(x)) for picture in pictures], 1),
            "t": t,
            "text": read,
            "pooled": vector,
            "places": torch.cat([places(picture, int(i > 0)) for i, picture in enumerate(pictures)]),
            "text_places": torch.zeros(read.shape[1], 3, device=x.device),
            **({} if scale is None else {"guidance": scale.value}),
            "added": None if added is None else added.map(partial(_filled, pictures, own_dtype(network))),
            "prompts": prompted(network, condition, t, x.shape[2] * x.shape[3] // SIDE**2) or None,
        }

    return FluxBackbone(network, spec(network), accepts, told, picture_of, engine)


class FluxBackbone(NetworkBackbone):
    """FLUX reads all words that it is given: rows that read others are called apart."""

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        groups = alike(condition)
        if len(groups) == 1:
            return super().__call__(x, t, condition)
        answers = [super(FluxBackbone, self).__call__(x[rows], t[rows], condition.select(rows)) for rows in groups]
        return torch.cat(answers)[torch.cat(groups).argsort()]


def _filled(pictures: Sequence[Tensor], dtype: torch.dtype, a: Tensor) -> Tensor:
    """What is added to the tokens of x, with zeros for those of the reference pictures behind them."""
    more = sum(picture[0, 0].numel() for picture in pictures) // SIDE**2 - a.shape[1]
    return functional.pad(a.to(dtype), (0, 0, 0, more))


def tokens(x: Tensor) -> Tensor:
    """x (B, C, h, w) as tokens of 2 x 2 cells, row by row: (B, h w/4, 4 C)."""
    return pixel_unshuffle(x, SIDE).flatten(2).transpose(1, 2)


def picture_of(answer: Tensor, x: Tensor) -> Tensor:
    """The first tokens of an answer as a picture of x's size; those of reference pictures are left out."""
    height, width = x.shape[2] // SIDE, x.shape[3] // SIDE
    first = answer[:, : height * width].transpose(1, 2)
    return pixel_shuffle(first.unflatten(2, (height, width)), SIDE)


def places(x: Tensor, which: int) -> Tensor:
    """(which picture, row, column) of every token of x, (h w/4, 3)."""
    rows, columns = (torch.arange(side // SIDE, device=x.device) for side in x.shape[2:])
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([torch.full_like(row, which), row, column], -1).flatten(0, 1).float()
