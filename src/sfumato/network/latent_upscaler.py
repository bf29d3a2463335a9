"""`UNet2DConditionModel` as Stable Diffusion's latent upscaler is (Katherine Crowson 2022), as a Backbone.

It answers a fifth channel, a variance that no sampler uses. How noisy its planes are it is told as [1, ..., 0, ...],
64 of each, which says not at all; behind that the text as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Concat, Condition, Text
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.planes import pooled_of, text_of, with_planes
from sfumato.network.spec import Input, NetworkSpec

LEVEL = 128  # numbers that say how noisy the planes are


def latent_upscaler(network: Any, engine: Engine, channels: int) -> NetworkBackbone:
    """[x, planes], log(kappa)/4, a text and its pooled embedding, beside which the time stands."""
    config = network.config
    width, pooled = int(config["cross_attention_dim"]), int(config["time_cond_proj_dim"]) - LEVEL

    def forward(network: Any, x: Tensor, t: Tensor, text: Tensor, pooled: Tensor) -> Tensor:
        level = torch.cat([pooled.new_ones(len(x), LEVEL // 2), pooled.new_zeros(len(x), LEVEL // 2), pooled], 1)
        answer = network(x, t, encoder_hidden_states=text, timestep_cond=level, return_dict=False)[0]
        return answer[:, :channels]

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        text = text_of(condition, width)
        planes = with_planes(x, condition, int(config["in_channels"]) - channels)
        return {"x": planes, "t": t, "text": text.embeds, "pooled": pooled_of(text, pooled)}

    inputs = {
        "x": Input(("rows", int(config["in_channels"]), "height", "width")),
        "t": Input(("rows",), "float32"),
        "text": Input(("rows", "tokens", width)),
        "pooled": Input(("rows", pooled)),
    }
    return NetworkBackbone(network, NetworkSpec(inputs, forward), {Text: width, Concat: channels}, told, engine=engine)
