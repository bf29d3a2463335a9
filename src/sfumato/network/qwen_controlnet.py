"""diffusers' `QwenImageControlNetModel`: the first blocks of Qwen-Image, shown the map's latents, or, to inpaint, those
of the picture and what is kept of it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.network.control_networks import check_alike, plain
from sfumato.network.latent_maps import answering_latents, map_latents, masked_latents
from sfumato.network.qwen_image import packed
from sfumato.network.residuals import Residuals, each_block
from sfumato.network.spec import Input, NetworkSpec
from sfumato.picture import BadInput

ALIKE = ("in_channels", "num_attention_heads", "attention_head_dim", "joint_attention_dim", "axes_dims_rope")
"""What a ControlNet and its network must agree on, for the answers to fit."""


def spec(network: Any) -> NetworkSpec:
    """What Qwen-Image itself is told of x and words, and the map's latents."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]) // 4, "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "words", int(config["joint_attention_dim"]))),
            "text_mask": Input(("rows", "words"), "bool", needed=False),
            "map": Input(("rows", shown_channels(config), "height", "width")),
        },
        _forward,
    )


def _forward(network: Any, x: Tensor, t: Tensor, text: Tensor, text_mask: Tensor | None, map: Tensor) -> Any:
    seen, shown = (packed(each) for each in (x, map))
    return network(
        seen.flatten(2).transpose(1, 2),
        controlnet_cond=shown.flatten(2).transpose(1, 2),
        encoder_hidden_states=text,
        encoder_hidden_states_mask=text_mask,
        timestep=t,
        img_shapes=[[(1, *seen.shape[2:])]] * len(x),
        return_dict=False,
    )


def answering(network: Any, batch: Any, control: Any) -> Any:
    """The ControlNet shown its map. Each branch of a guidance is answered by its own words; stock diffusers adds to the
    unconditional one what was found for the other."""
    config, painter = network.config, batch.stage.networks.get("transformer")
    check_alike(control, config, painter, ALIKE)
    plain(control, "Qwen-Image")
    more = shown_channels(config) - batch.like.shape[1]
    if more not in (0, 1):
        raise BadInput(
            f"The ControlNet {control.obeyed_by} sees {more} channels more than a map, and not a mask alone."
        )
    shown = (masked_latents if more else map_latents)(batch, control)
    blocks = painter.config["num_layers"]
    return answering_latents(network, batch, spec(network), shown, lambda found: Residuals(each_block(found, blocks)))


def shown_channels(config: Any) -> int:
    """Of a cell of what it is shown: a map's latents, or those of a picture with a mask beside them."""
    return (int(config["in_channels"]) + int(config["extra_condition_channels"])) // 4
