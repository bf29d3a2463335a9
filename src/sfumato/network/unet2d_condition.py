"""A diffusers U-Net as a Backbone: (x, t, condition) -> F, whatever the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from sfumato.condition import Attention, Concat, Condition, Injection, Part, Text, Watched
from sfumato.network.attention_directives import directed
from sfumato.network.engine import Engine, engine
from sfumato.network.text_kv_cache import TextMemory
from sfumato.picture import BadInput


class UNetBackbone:
    """`UNet2DConditionModel` conditioned on text by cross-attention.

    A network with more input channels than the `channels` of x (as many as come out, unless said) takes a `Concat` of
    as many planes, and sees [x, planes]. One of patches sees them as pictures of 1/patch the side and patch^2 times the
    channels (Luhman & Luhman 2022, "Improving Diffusion Model Efficiency Through Patching", section 3).
    `accepts` names the parts of a Condition that the network takes and their widths; any other part is refused
    by name. The network's time `t` is its own (an index 0 to N - 1): `Preconditioned` maps ours to it.
    The output is float32 whatever the precision of the weights.
    """

    differentiable = True

    def __init__(
        self, network: torch.nn.Module, execute: Engine | None = None, channels: int | None = None, patch: int = 1
    ):
        self.network, self.patch = network, patch
        self.execute = execute or engine("eager")
        self.memory = TextMemory(network)
        config: Any = network.config
        planes = int(config["in_channels"]) // patch**2 - (channels or int(config["out_channels"]) // patch**2)
        concat: dict[type[Part], int] = {Concat: planes} if planes > 0 else {}
        directives = dict.fromkeys((Attention, Injection, Watched), 0)
        self.accepts: Mapping[type[Part], int] = {Text: int(config["cross_attention_dim"]), **directives, **concat}

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        text = self._text(condition)
        dtype = next(self.network.parameters()).dtype
        embeds = text.embeds.to(dtype)
        x = pixel_unshuffle(with_planes(x, condition, self.accepts.get(Concat, 0)), self.patch)
        with self.execute(), directed(self.network, condition), self.memory.of(embeds):
            out = self.network(
                x.to(dtype),
                t,
                encoder_hidden_states=embeds,
                encoder_attention_mask=text.mask,
                return_dict=False,
            )[0]
        return pixel_shuffle(out.float(), self.patch)

    def _text(self, condition: Condition) -> Text:
        refuse_others(condition, self.accepts)
        text, width = condition.get(Text), self.accepts[Text]
        if text is None:
            raise BadInput("This network needs exactly one Text condition; give it a prompt (an empty one will do).")
        if text.others:
            raise BadInput(
                "A network is told one text at a time, and this one is joined of several: call it by Guided."
            )
        if text.embeds.shape[-1] != width:
            raise BadInput(
                f"The text embedding is {text.embeds.shape[-1]} wide and this network takes {width}; "
                "use the text encoder that the network was trained with."
            )
        return text


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
