"""diffusers' `SanaControlNetModel`: the first blocks of Sana, shown the map's latents."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.network.control_networks import check_alike, plain
from sfumato.network.latent_maps import answering_latents, map_latents
from sfumato.network.residuals import Residuals
from sfumato.network.spec import Input, NetworkSpec

ALIKE = ("in_channels", "num_attention_heads", "attention_head_dim", "caption_channels", "patch_size")
"""What a ControlNet and its network must agree on, for the answers to fit."""


def spec(network: Any) -> NetworkSpec:
    """What Sana itself is told, and the map's latents."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "words", int(config["caption_channels"]))),
            "text_mask": Input(("rows", "words"), "bool", needed=False),
            "map": Input(("rows", int(config["in_channels"]), "height", "width")),
        },
        _forward,
    )


def _forward(network: Any, x: Tensor, t: Tensor, text: Tensor, text_mask: Tensor | None, map: Tensor) -> Any:
    return network(
        x,
        encoder_hidden_states=text,
        encoder_attention_mask=text_mask,
        timestep=t,
        controlnet_cond=map,
        return_dict=False,
    )[0]


def answering(network: Any, batch: Any, control: Any) -> Any:
    """The ControlNet shown its map. Its answers go to the second block of Sana and those behind it."""
    check_alike(control, network.config, batch.stage.networks.get("transformer"), ALIKE)
    plain(control, "Sana")
    shown = map_latents(batch, control)
    return answering_latents(network, batch, spec(network), shown, lambda found: Residuals((None, *found)), 1000)
