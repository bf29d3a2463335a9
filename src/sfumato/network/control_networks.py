"""Which ControlNets there are, and the module here that calls each: `answering(network, batch, control)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from sfumato.network.residuals import Residuals
from sfumato.picture import BadInput

KINDS: Mapping[str, str] = {
    "ControlNetModel": "controlnet",
    "ControlNetUnionModel": "controlnet",
    "FluxControlNetModel": "flux_controlnet",
    "PixArtControlNetAdapterModel": "pixart_controlnet",
    "QwenImageControlNetModel": "qwen_controlnet",
    "SD3ControlNetModel": "sd3_controlnet",
    "SanaControlNetModel": "sana_controlnet",
    "UNet2DConditionModel": "kandinsky_controlnet",
    "ZImageControlNetModel": "z_image_controlnet",
}
"""diffusers' classes of ControlNets, and the modules of `sfumato.network`."""

Answering = Callable[..., Residuals]
"""(x, t, told) -> what a ControlNet that is shown its map adds, x, t and `told` as the network itself is told them."""


def answering(network: Any, batch: Any, control: Any) -> Answering:
    """The ControlNet as the batch's engine runs it, shown the control's map.

    Raises BadInput where it was made for another network than the batch's stage has.
    """
    module = import_module(f"sfumato.network.{KINDS[type(network).__name__]}")
    return module.answering(network, batch, control)


def check_alike(control: Any, config: Mapping[str, Any], painter: Any, fields: Sequence[str]) -> None:
    """Raises BadInput where a ControlNet and the network that paints differ in one of the fields: its answers would not
    fit. painter: that network, None where the stage has none of its kind."""
    for field in fields:
        ours, theirs = config.get(field), None if painter is None else painter.config.get(field)
        if (list(ours) if isinstance(ours, tuple) else ours) != (list(theirs) if isinstance(theirs, tuple) else theirs):
            raise BadInput(
                f"The ControlNet {control.net} was made for another network: its {field} is {ours}, not {theirs}."
            )


def plain(control: Any, family: str) -> None:
    """Raises BadInput for a control that asks for what a family's ControlNets don't have."""
    if control.guess or control.mode is not None:
        raise BadInput(
            f"{family} has neither a guess mode nor unions told a number of ControlNets: leave guess and mode out."
        )
