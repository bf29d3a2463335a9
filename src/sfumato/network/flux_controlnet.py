"""diffusers' `FluxControlNetModel`: a part of FLUX's blocks, shown the map's latents or its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sfumato.network.control_networks import check_alike
from sfumato.network.flux_transformer import places, tokens
from sfumato.network.residuals import Residuals, each_block
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.picture import BadInput

ALIKE = ("num_attention_heads", "attention_head_dim", "joint_attention_dim", "pooled_projection_dim")
"""What a ControlNet and its network must agree on, for the answers to fit."""


def spec(network: Any) -> NetworkSpec:
    """What FLUX itself is told, and the map: tokens of its latents, or pixels for a network with a hint block."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", "tokens", int(config["in_channels"]))),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "words", int(config["joint_attention_dim"]))),
            "pooled": Input(("rows", int(config["pooled_projection_dim"]))),
            "places": Input(("tokens", 3), "float32"),
            "text_places": Input(("words", 3), "float32"),
            "map": Input(("rows", "tokens", "width")),
            "mode": Input(("rows", 1), "int64", needed=False),
            "guidance": Input(("rows",), "float32", needed=False),
        },
        _forward,
    )


def _forward(network: Any, x: Tensor, t: Tensor, map: Tensor, mode: Tensor | None, **told: Any) -> Any:
    return network(
        x,
        controlnet_cond=map,
        controlnet_mode=mode,
        timestep=t,
        encoder_hidden_states=told["text"],
        pooled_projections=told["pooled"],
        img_ids=told["places"],
        txt_ids=told["text_places"],
        guidance=told["guidance"],
        return_dict=False,
    )


def answering(network: Any, batch: Any, control: Any) -> Any:
    """The ControlNet shown its map; a union of several is told the number of its kind."""
    config = network.config
    painter = batch.stage.networks.get("transformer")
    check_alike(control, config, painter, ALIKE)
    if control.guess:
        raise BadInput("FLUX has no guess mode: leave guess out.")
    if (control.mode is None) == bool(network.union):
        says = "needs a mode, the number of a kind of map" if network.union else "knows one kind of map: leave mode out"
        raise BadInput(f"The ControlNet {control.obeyed_by} {says}.")
    picture = batch.control_map(control.picture, control.map)
    pixels = network.input_hint_block is not None
    shown = picture if pixels else tokens(batch.stage.space.encode(picture))
    run, own = batch.engine.prepare(network, spec(network)), own_dtype(network)

    def answer(x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
        text, pooled = told["text"], told["pooled"]
        assert text is not None
        assert pooled is not None
        scale = told.get("guidance") if config["guidance_embeds"] else None
        double, single = run(
            x=tokens(x).to(own),
            t=t,
            map=shown.to(own).expand(len(x), *[-1] * (shown.ndim - 1)),
            mode=None if control.mode is None else torch.full((len(x), 1), control.mode, device=x.device),
            text=text.to(own),
            pooled=pooled.to(own),
            places=places(x, 0),
            text_places=torch.zeros(text.shape[1], 3, device=x.device),
            guidance=scale,
        )
        return Residuals(
            skips=each_block(double, painter.config["num_layers"], repeats=pixels),
            singles=each_block(single, painter.config["num_single_layers"]),
        )

    return answer
