"""diffusers' ControlNets of U-Nets as an engine runs them (Zhang et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sfumato.network.control_networks import check_alike
from sfumato.network.residuals import Residuals
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.picture import BadInput

ALIKE = ("down_block_types", "block_out_channels", "layers_per_block", "cross_attention_dim", "addition_embed_type")
"""What a ControlNet and its U-Net must agree on, for the answers to fit."""


def spec(network: Any) -> NetworkSpec:
    """x, its own time and the text as the U-Net is told them, and the map; answers (skips, middle)."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "tokens", int(config["cross_attention_dim"]))),
            "map": Input(("rows", int(config["conditioning_channels"]), "pixels", "pixels")),
            "mode": Input((), "int64", needed=False),
            "pooled": Input(("rows", "width"), needed=False),
            "sizes": Input(("rows", 6), needed=False),
        },
        _forward,
    )


def _forward(
    network: Any,
    x: Tensor,
    t: Tensor,
    text: Tensor,
    map: Tensor,
    mode: int | None,
    pooled: Tensor | None,
    sizes: Tensor | None,
) -> Any:
    added = None if pooled is None else {"text_embeds": pooled, "time_ids": sizes}
    if mode is None:
        return network(x, t, text, map, added_cond_kwargs=added, return_dict=False)
    kinds = x.new_zeros(len(x), int(network.config["num_control_type"]))
    kinds[:, mode] = 1
    return network(x, t, text, [map], kinds, [mode], added_cond_kwargs=added, return_dict=False)


def answering(network: Any, batch: Any, control: Any) -> Any:
    """The ControlNet shown its map in [0, 1], in the order of colours that it wants."""
    config = network.config
    check_alike(control, config, batch.stage.networks.get("unet"), ALIKE)
    if (takes := int(config["in_channels"])) != (channels := batch.like.shape[1]):
        raise BadInput(f"The ControlNet {control.obeyed_by} takes {takes} channels, and x has {channels}.")
    if config.get("num_class_embeds") or config.get("class_embed_type"):
        raise BadInput(
            f"The ControlNet {control.obeyed_by} wants to be told a class or a level, which is not done here."
        )
    smaller, factor = 2 ** (len(config["conditioning_embedding_out_channels"]) - 1), batch.stage.space.factor
    if smaller != factor:
        raise BadInput(
            f"The ControlNet {control.obeyed_by} makes its map {smaller} times smaller, and x is {factor} times."
        )
    several = config.get("num_control_type")
    if (several is None) != (control.mode is None) or (control.mode or 0) >= (several or 1):
        says = "knows one kind of map: leave mode out" if several is None else f"needs a mode, 0 to {several - 1}"
        raise BadInput(f"The ControlNet {control.obeyed_by} {says}.")
    run, own = batch.engine.prepare(network, spec(network)), own_dtype(network)
    hint = ((batch.control_map(control.picture, control.map) + 1) / 2).to(own)
    hint = hint.flip(1) if config["controlnet_conditioning_channel_order"] == "bgr" else hint
    growing = control.guess and not config["global_pool_conditions"]

    def answer(x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
        if told.get("text_mask") is not None:
            raise BadInput("A ControlNet can't read texts of different lengths in one batch: paint one at a time.")
        text = {name: told.get(name) for name in ("text", "pooled", "sizes")}
        cast = {name: value if value is None else value.to(own) for name, value in text.items()}
        shown = hint.expand(len(x), -1, -1, -1)
        skips, middle = run(x=x.to(own), t=t, map=shown, mode=control.mode, **cast)
        found = [*skips, middle]
        if growing:
            scales = torch.logspace(-1, 0, len(found)).tolist()
            found = [scale * a for scale, a in zip(scales, found, strict=True)]
        return Residuals(tuple(found[:-1]), found[-1])

    return answer
