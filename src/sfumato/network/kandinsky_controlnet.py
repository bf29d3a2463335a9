"""Kandinsky 2.2's ControlNets: whole decoders (`UNet2DConditionModel`) that see a map beside x, and answer in the place
of the decoder that was trained without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from sfumato.network.control_networks import check_alike, plain
from sfumato.network.residuals import Residuals
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.picture import BadInput

ALIKE = ("encoder_hid_dim", "out_channels")
"""What a ControlNet and its network must agree on, for the answers to fit."""
TOLD: Mapping[str, Any] = {
    "addition_embed_type": "image_hint",
    "encoder_hid_dim_type": "image_proj",
    "class_embed_type": None,
    "num_class_embeds": None,
    "time_embedding_type": "positional",
}
"""By which such a decoder is known."""
PIXELS = 8  # of the map along a side of a cell of x


def spec(network: Any) -> NetworkSpec:
    """What the decoder itself is told, and the map."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]) // 2, "height", "width")),
            "t": Input(("rows",), "float32"),
            "image": Input(("rows", int(config["encoder_hid_dim"]))),
            "map": Input(("rows", 3, "pixels", "pixels")),
        },
        _forward,
    )


def _forward(network: Any, x: Tensor, t: Tensor, image: Tensor, map: Tensor) -> Tensor:
    told = {"image_embeds": image, "hint": map}
    return network(x, t, encoder_hidden_states=None, added_cond_kwargs=told, return_dict=False)[0]


def answering(network: Any, batch: Any, control: Any) -> Any:
    """The ControlNet shown its map in [0, 1]."""
    config, channels = network.config, batch.like.shape[1]
    check_alike(control, config, batch.stage.networks.get("unet"), ALIKE)
    plain(control, "Kandinsky")
    if config["in_channels"] != 2 * channels:
        raise BadInput(
            f"The ControlNet {control.obeyed_by} takes {config['in_channels']} channels, not {2 * channels}."
        )
    run, own = batch.engine.prepare(network, spec(network)), own_dtype(network)
    pixels = [PIXELS * cells for cells in batch.like.shape[2:]]
    shown = interpolate((batch.control_map(control.picture, control.map) + 1) / 2, pixels, mode="area").to(own)

    def answer(x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
        image = told["image"]
        assert image is not None
        found = run(x=x.to(own), t=t, image=image.to(own), map=shown.expand(len(x), -1, -1, -1)).float()
        return Residuals(answer=found, share=found.new_ones(len(x), 1, *found.shape[2:]))

    return answer
