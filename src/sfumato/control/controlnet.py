"""ControlNet: Zhang et al. 2023, "Adding Conditional Control to Text-to-Image Diffusion Models"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sfumato.control.control import Control, Shown
from sfumato.element import Whole, element
from sfumato.lazy import torch
from sfumato.picture import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.network.residuals import Residuals


@element("controlnet")
class ControlNet(Shown, Control):
    """A copy of the network's downward half sees x, t, the text and the map, and adds to the skips and the middle.

    guess: without words (the paper's "guess mode", section 3.5 of its supplement): unconditional rows are left alone,
        and what is added grows from 0.1 at the first skip to 1 in the middle, in equal ratios. mode: which kind of map
        it is, by its number, for a union of several ControlNets in one.

    At weight 0, or with zero convolutions as they are at the start of training, pictures are the same to the bit.
    """

    guess: bool = Field(default=False, description="true or false")
    mode: Whole | None = Field(default=None, ge=0, le=99, description="the number of a kind of map, or nothing")

    takes, steers = "residuals", "Controls"

    def bind(self, batch: Any) -> Callable[..., Residuals]:
        from sfumato.network.controlnet import spec

        network = batch.network(self.net, "controlnet")
        several = getattr(network.config, "num_control_type", None)
        if (several is None) != (self.mode is None) or (self.mode or 0) >= (several or 1):
            says = "knows one kind of map: leave mode out" if several is None else f"needs a mode, 0 to {several - 1}"
            raise BadInput(f"The ControlNet {self.net} {says}.")
        told = spec(network)
        hint = (batch.control_map(self.picture) + 1) / 2
        if network.config["controlnet_conditioning_channel_order"] == "bgr":
            hint = hint.flip(1)
        own = next(network.parameters())
        check_shape(str(self.net), network.config, batch.stage.networks["unet"].config)
        mask = None if self.mask is None else batch.control_mask(self.mask)
        pooled = bool(network.config["global_pool_conditions"])
        run = batch.engine.prepare(network, told)
        return BoundControlNet(run, hint.to(own), self.mode, mask, self.guess or pooled, self.guess and not pooled)


@dataclass(frozen=True, eq=False)
class BoundControlNet:
    """A ControlNet that is shown its map: (x, t, told) -> what it adds, in the rows that it is called with."""

    run: Callable[..., Any]
    hint: Tensor
    mode: int | None
    mask: Tensor | None = None
    guess: bool = False
    growing: bool = False

    def __call__(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
        from sfumato.network.residuals import Residuals, masked

        if told.get("text_mask") is not None:
            raise BadInput(
                "A ControlNet can't read texts of different lengths in one batch: make one picture at a time."
            )
        text = {name: told.get(name) for name in ("text", "pooled", "sizes")}
        own = {name: value if value is None else value.to(self.hint.dtype) for name, value in text.items()}
        hint = self.hint.expand(len(x), -1, -1, -1)
        skips, middle = self.run(x=x.to(hint.dtype), t=t, map=hint, mode=self.mode, **own)
        found = [*skips, middle]
        if self.growing:
            scales = torch.logspace(-1, 0, len(found)).tolist()
            found = [scale * a for scale, a in zip(scales, found, strict=True)]
        added = Residuals(tuple(found[:-1]), found[-1])
        return masked(added, self.mask)


def check_shape(name: str, config: Mapping[str, Any], unet: Mapping[str, Any]) -> None:
    """Raises BadInput where a ControlNet was made for a U-Net of other shape: its answers would not fit."""
    for field in (
        "down_block_types",
        "block_out_channels",
        "layers_per_block",
        "cross_attention_dim",
        "addition_embed_type",
    ):
        ours, theirs = config.get(field), unet.get(field)
        if _listed(ours) != _listed(theirs):
            raise BadInput(f"The ControlNet {name} was made for another network: its {field} is {ours}, not {theirs}.")


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
