"""What every backbone does with a condition: parts that it does not take are refused, planes stand beside x."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sfumato.condition import Concat, Condition, Image, Layout, Part, Text
from sfumato.picture import BadInput


def refuse_others(condition: Condition, accepts: Mapping[type[Part], int]) -> None:
    """BadInput for a part that a network does not take."""
    for part in condition.parts:
        if type(part) not in accepts:
            names = ", ".join(kind.__name__ for kind in accepts) or "none"
            raise BadInput(f"This network takes no {type(part).__name__} condition; it accepts {names}.")


def with_planes(x: Tensor, condition: Condition, planes: int) -> Tensor:
    """[x, planes of the condition's Concat] for a network that takes so many of them; x for one that takes none.

    Raises BadInput when they are missing, too many or too few, or of another size than x.
    """
    if not planes:
        return x
    concat = condition.get(Concat)
    if concat is None:
        raise BadInput(f"This network sees {planes} planes beside the picture; give it a Concat condition.")
    given = concat.planes
    if given.shape[1:] != (planes, *x.shape[2:]):
        raise BadInput(
            f"The planes beside the picture are {' x '.join(map(str, given.shape[1:]))} and this network takes "
            f"{planes} of the picture's own size, {x.shape[2]} x {x.shape[3]}."
        )
    return torch.cat([x, given.to(x)], dim=1)


def with_layout(x: Tensor, condition: Condition, planes: int) -> Tensor:
    """[x, planes of the condition's Layout], as `with_planes`."""
    if not planes:
        return x
    layout = condition.get(Layout)
    if layout is None or layout.planes.shape[1:] != (planes, *x.shape[2:]):
        given = "none" if layout is None else " x ".join(map(str, layout.planes.shape[1:]))
        raise BadInput(
            f"This network sees a layout of {planes} planes of the picture's own size, {x.shape[2]} x {x.shape[3]}, "
            f"and was given {given}."
        )
    return torch.cat([x, layout.planes.to(x)], dim=1)


def text_of(condition: Condition, width: int) -> Text:
    """The one text that a network is told. Raises BadInput where there is none, several, or one of another width."""
    text = condition.get(Text)
    if text is None:
        raise BadInput("This network needs exactly one Text condition; give it a prompt (an empty one will do).")
    if text.others:
        raise BadInput("A network is told one text at a time, and this one is joined of several: call it by Guided.")
    if text.embeds.shape[-1] != width:
        raise BadInput(
            f"The text embedding is {text.embeds.shape[-1]} wide and this network takes {width}; "
            "use the text encoder that the network was trained with."
        )
    return text


def pooled_of(text: Text, width: int) -> Tensor:
    """What a text says as a whole. Raises BadInput where that is nothing, or of another width."""
    if text.pooled is None or text.pooled.shape[-1] != width:
        given = "none" if text.pooled is None else f"one {text.pooled.shape[-1]} wide"
        raise BadInput(f"This network takes a pooled text {width} wide and was given {given}.")
    return text.pooled


def image_of(condition: Condition, width: int) -> Tensor:
    """The one image embedding (B, width) that a network is told. Raises BadInput where there is none, or another."""
    image = condition.get(Image)
    if image is None or image.embeds.shape[1:] != (1, width):
        given = "none" if image is None else " x ".join(map(str, image.embeds.shape[1:]))
        raise BadInput(f"This network takes an image embedding {width} wide and was given {given}.")
    return image.embeds[:, 0]
