"""diffusers' `ZImageControlNetModel`: blocks beside those of Z-Image, shown the map's latents.

They see what the first layers make of x and words, up to where the two meet; those layers are Z-Image's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy, deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sfumato.network.control_networks import check_alike, plain
from sfumato.network.latent_maps import map_latents, with_kept
from sfumato.network.offload import at_hand
from sfumato.network.residuals import Residuals
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.network.z_image import padded, texts_of
from sfumato.picture import BadInput

ALIKE = ("dim", "n_heads", "n_kv_heads", "qk_norm", "n_refiner_layers")
"""What a ControlNet and its network must agree on, for the answers to fit."""


def spec(network: Any, painter: Any) -> NetworkSpec:
    """What Z-Image itself is told, and the map's latents; answers by the index of a block."""
    return NetworkSpec(
        {
            "x": Input(("rows", int(painter.config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "words", int(painter.config["cap_feat_dim"]))),
            "text_mask": Input(("rows", "words"), "bool", needed=False),
            "map": Input(("rows", int(network.config["control_in_dim"]), "height", "width")),
            "weight": Input((), "object"),
        },
        partial(_forward, painter),
    )


def _forward(
    painter: Any, network: Any, x: Tensor, t: Tensor, text: Tensor, text_mask: Tensor | None, map: Tensor, weight: float
) -> Any:
    with at_hand(painter):
        return network(
            list(x[:, :, None]), 1 - t, texts_of(text, text_mask), list(map[:, :, None]), conditioning_scale=weight
        )


def answering(network: Any, batch: Any, control: Any) -> Any:
    """The ControlNet shown its map. One that was trained to inpaint too sees behind it what is kept of a picture, grey
    where it is to be repainted, if the run has one and a mask, and zeros if not.

    Some act on the picture's tokens before words come to them, where their weight counts too.
    """
    config, painter = network.config, batch.stage.networks.get("transformer")
    check_alike(control, config, painter, ALIKE)
    plain(control, "Z-Image")
    more = int(config["control_in_dim"]) - int(painter.config["in_channels"])
    blocks, places = int(painter.config["n_layers"]), list(config["control_layers_places"])
    if more < 0 or max(places) >= blocks:
        raise BadInput(
            f"The ControlNet {control.obeyed_by} was made for another network: it has more blocks, or sees less."
        )
    joined = _joined(network, painter)
    shown = map_latents(batch, control)
    if more == 1 + shown.shape[1] and batch.mask is not None and batch.original is not None:
        hidden = batch.mask_tensor(batch.mask)
        kept = with_kept(batch, batch.tensor(batch.original) * (hidden < 0.5), hidden)
        shown = torch.cat([shown, kept.roll(1, 1)], 1)  # the mask before the picture
    else:
        shown = functional.pad(shown, (0, 0, 0, 0, 0, more))
    weight = float(control.weight) if config["add_control_noise_refiner"] else 1.0
    run, own = batch.engine.prepare(joined, spec(network, painter)), own_dtype(painter)

    def answer(x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
        text = told["text"]
        assert text is not None
        seen = shown.to(own).expand(len(x), -1, -1, -1)
        found = run(x=x.to(own), t=t, text=text.to(own), text_mask=told.get("text_mask"), map=seen, weight=weight)
        pictured = x.shape[2] * x.shape[3] // 4
        length = padded(pictured) + padded(text.shape[1])  # as long for all rows as any text could make it
        each = [found.get(i) for i in range(blocks)]
        return Residuals(
            tuple(None if a is None else functional.pad(a, (0, 0, 0, length - a.shape[1])) / weight for a in each),
            pictured=pictured,
        )

    return answer


def _joined(network: Any, painter: Any) -> Any:
    """The ControlNet in the painter's number type, with the painter's first layers for its own; `network` itself stays
    as it is."""
    own = own_dtype(painter)
    joined = copy(network) if own_dtype(network) == own else deepcopy(network).to(own)
    joined._modules, joined._parameters = dict(joined._modules), dict(joined._parameters)
    return type(network).from_transformer(joined, painter)
