"""diffusers' `SD3ControlNetModel`: the first blocks of Stable Diffusion 3, shown the map's latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sfumato.network.control_networks import check_alike
from sfumato.network.latent_maps import map_latents, masked_latents
from sfumato.network.residuals import Residuals
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.picture import BadInput

ALIKE = ("num_attention_heads", "attention_head_dim", "joint_attention_dim", "pooled_projection_dim")
"""What a ControlNet and its network must agree on, for the answers to fit."""


def spec(network: Any) -> NetworkSpec:
    """What Stable Diffusion 3 itself is told, and the map's latents."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "words", int(config["joint_attention_dim"]))),
            "pooled": Input(("rows", int(config["pooled_projection_dim"]))),
            "map": Input(("rows", "channels", "height", "width")),
        },
        _forward,
    )


def _forward(network: Any, x: Tensor, t: Tensor, text: Tensor, pooled: Tensor, map: Tensor) -> Any:
    return network(
        x,
        controlnet_cond=map,
        timestep=t,
        encoder_hidden_states=text,
        pooled_projections=pooled,
        return_dict=False,
    )


def answering(network: Any, batch: Any, control: Any) -> Any:
    """The ControlNet shown its map. Those that force the pooled text to zeros see latents that are not shifted, unless
    they were trained to inpaint, and see what is kept of a picture."""
    config = network.config
    painter = batch.stage.networks.get("transformer")
    check_alike(control, config, painter, ALIKE)
    inpaints = config["extra_conditioning_channels"] == 1
    if config["extra_conditioning_channels"] not in (0, 1) or not config.get("use_pos_embed", True):
        raise BadInput(
            f"The ControlNet {control.obeyed_by} sees more than a map, or has no places of its own: it is not read."
        )
    if control.guess or control.mode is not None:
        raise BadInput(
            "Stable Diffusion 3 has neither a guess mode nor unions of ControlNets: leave guess and mode out."
        )
    space = batch.stage.space
    shown = (masked_latents if inpaints else map_latents)(batch, control)
    zeros = bool(config["force_zeros_for_pooled_projection"])
    if zeros and not inpaints:
        shown = shown + space.shift * space.scale
    run, own = batch.engine.prepare(network, spec(network)), own_dtype(network)

    def answer(x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
        text, pooled = told["text"], told["pooled"]
        assert text is not None
        assert pooled is not None
        pooled = torch.zeros_like(pooled) if zeros else pooled
        seen = shown.to(own).expand(len(x), -1, -1, -1)
        (found,) = run(x=x.to(own), t=1000 * t, text=text.to(own), pooled=pooled.to(own), map=seen)
        blocks = int(painter.config["num_layers"])
        return Residuals(skips=tuple(found[i * len(found) // blocks] for i in range(blocks)))

    return answer
