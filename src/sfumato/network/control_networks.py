"""Which ControlNets there are, and the module here that calls each: `answering(network, batch, control)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from sfumato.network.residuals import Residuals
from sfumato.picture import BadInput
from sfumato.picture.errors import printable

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
    """The ControlNet as the batch's engine runs it, shown the control's map, which is `numbered`.

    Raises BadInput where it was made for another network than the batch's stage has.
    """
    module = import_module(f"sfumato.network.{KINDS[type(network).__name__]}")
    return module.answering(network, batch, control)


def numbered(network: Any, control: Any) -> Any:
    """The control with the number that its kind of map has in a union, where it says the kind: by `mode`, or by the map
    that is made. The kinds of a union are those of the maps.json in its folder, else those of the public unions. Raises
    BadInput for a kind that a union doesn't have."""
    if isinstance(control.mode, int) or (control.mode is None and control.map is None):
        return control
    if not (network.config.get("num_control_type") or network.config.get("num_mode")):
        return replace(control, mode=None)  # it knows one kind
    known = getattr(network, "maps", None) or control.public_numbers(type(network).__name__)
    kind = control.mode or control.kind_of_map
    number = known.get(kind, known.get(kind.partition("-")[0]))  # of softedge-classical: softedge
    if number is None and control.mode is not None:
        names = ", ".join(known) or "none by name: give the number"
        raise BadInput(f"The ControlNet {control.obeyed_by} has no map called {printable(kind, 60)!r}: it has {names}.")
    return replace(control, mode=number)


def check_alike(control: Any, config: Mapping[str, Any], painter: Any, fields: Sequence[str]) -> None:
    """Raises BadInput where a ControlNet and the network that paints differ in one of the fields: its answers would not
    fit. painter: that network, None where the stage has none of its kind."""
    for field in fields:
        ours, theirs = config.get(field), None if painter is None else painter.config.get(field)
        if (list(ours) if isinstance(ours, tuple) else ours) != (list(theirs) if isinstance(theirs, tuple) else theirs):
            raise BadInput(
                f"The ControlNet {control.obeyed_by} was made for another network: its {field} is {ours}, not {theirs}."
            )


def plain(control: Any, family: str) -> None:
    """Raises BadInput for a control that asks for what a family's ControlNets don't have."""
    if control.guess or control.mode is not None:
        raise BadInput(
            f"{family} has neither a guess mode nor unions told a number of ControlNets: leave guess and mode out."
        )
