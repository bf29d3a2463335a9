"""A diffusers `PriorTransformer` as a Backbone: from words to the image embedding of a picture of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Condition, Text
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.planes import pooled_of, text_of
from sfumato.network.spec import Input, NetworkSpec


def spec(network: Any) -> NetworkSpec:
    """Its inputs: a noisy embedding, its own time, a text, its mask and its pooled embedding."""
    width = int(network.config["embedding_dim"])
    pooled = int(network.config["embedding_proj_dim"] or width)
    return NetworkSpec(
        {
            "x": Input(("rows", width)),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "tokens", width)),
            "text_mask": Input(("rows", "tokens"), "bool"),
            "pooled": Input(("rows", pooled)),
        },
        _forward,
    )


def _forward(network: Any, x: Tensor, t: Tensor, text: Tensor, text_mask: Tensor, pooled: Tensor) -> Tensor:
    return network(
        x, t, proj_embedding=pooled, encoder_hidden_states=text, attention_mask=text_mask, return_dict=False
    )[0]


def prior_backbone(network: Any, engine: Engine, pairs: bool = False) -> NetworkBackbone:
    """(x (B, width, 1, 1), t, Text with mask and pooled embedding) -> the clean embedding, in the shape of x.

    pairs: x holds two, (B, 2 width, 1, 1), of which the second is told the negative prompt in every branch. Where no
    row has one the network is asked for the first alone, which stands for the second too: nobody looks at it.
    """
    width = int(network.config["embedding_dim"])
    pooled = int(network.config["embedding_proj_dim"] or width)

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        text, vectors = text_of(condition, width), x[:, :, 0, 0]
        if pairs and said(text.null()):
            text, t = Text.cat([text, text.null()]), t.repeat(2)
            vectors = torch.cat(vectors.split(width, 1))
        elif pairs:
            vectors = vectors[:, :width]
        return {
            "x": vectors,
            "t": t,
            "text": text.embeds,
            "text_mask": text.mask,
            "pooled": pooled_of(text, pooled),
        }

    def shaped(answer: Tensor, x: Tensor) -> Tensor:
        found = torch.cat(answer.split(len(x)), 1)
        return found.repeat(1, x.shape[1] // found.shape[1])[..., None, None]

    return NetworkBackbone(network, spec(network), {Text: width}, told, shaped, engine)


def said(text: Text) -> bool:
    """Whether any row says more than its first and its last token."""
    return text.mask is None or bool((text.mask.sum(1) > 2).any())
