"""diffusers' ControlNets of U-Nets as an engine runs them (Zhang et al. 2023)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec


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
