"""What ControlNets of latents are shown: a map's latents, or a picture's without what is to be repainted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfumato.network.control_networks import Answering
from sfumato.network.residuals import Residuals
from sfumato.network.spec import NetworkSpec, own_dtype
from sfumato.picture import BadInput


def map_latents(batch: Any, control: Any) -> Tensor:
    """The map's latents, (1, C, h, w)."""
    return batch.stage.space.encode(batch.control_map(control.picture, control.map))


def masked_latents(batch: Any, control: Any) -> Tensor:
    """[latents of the picture, black where it is to be repainted, 1 where it is kept], (1, C + 1, h, w): what a
    ControlNet for inpainting sees. Raises BadInput where the run has no mask."""
    if batch.mask is None:
        raise BadInput(
            f"The ControlNet {control.obeyed_by} was trained to inpaint: show it the picture, and give the run a mask, "
            "as hold=Outside(mask)."
        )
    hidden = batch.mask_tensor(batch.mask)
    return with_kept(batch, torch.where(hidden > 0.5, -1.0, batch.control_map(control.picture, control.map)), hidden)


def with_kept(batch: Any, pictures: Tensor, hidden: Tensor) -> Tensor:
    """[latents of the pictures, 1 where they are kept], hidden (1, 1, H, W) being 1 where they are to be repainted."""
    latents = batch.stage.space.encode(pictures)
    return torch.cat([latents, 1 - interpolate(hidden.to(latents), latents.shape[2:])], 1)


def answering_latents(
    network: Any, batch: Any, spec: NetworkSpec, shown: Tensor, residuals: Callable[[Any], Residuals], scale: float = 1
) -> Answering:
    """A ControlNet that is told x, `scale` t, a text and its mask, and shown latents: (x, t, told) -> the `residuals`
    of its answer."""
    run, own = batch.engine.prepare(network, spec), own_dtype(network)

    def answer(x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
        text = told["text"]
        assert text is not None
        seen = shown.to(own).expand(len(x), -1, -1, -1)
        return residuals(run(x=x.to(own), t=scale * t, text=text.to(own), text_mask=told.get("text_mask"), map=seen))

    return answer
