"""A diffusers U-Net as a Backbone: (x, t, condition) -> F, whatever the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from sfumato.condition import Concat, Condition, Part, Text
from sfumato.network.attention_directives import DIRECTIVES, directed, directives_of
from sfumato.network.engine import Eager, Engine
from sfumato.network.planes import refuse_others, with_planes
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.network.text_kv_cache import TextKV, TextKVCache, projected
from sfumato.picture import BadInput


def spec(network: Any) -> NetworkSpec:
    """The inputs of a `UNet2DConditionModel`: [x, planes], its own time, a text and its mask; what a condition asks of
    its attention; and the text's keys and values where they are known."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "tokens", int(config["cross_attention_dim"]))),
            "text_mask": Input(("rows", "tokens"), "bool", needed=False),
            "directives": Input(("rows",), "object", needed=False),
            "text_kv": Input(("rows", "tokens", "width"), needed=False),
        },
        _forward,
    )


def _forward(
    network: Any,
    x: Tensor,
    t: Tensor,
    text: Tensor,
    text_mask: Tensor | None,
    directives: Condition | None,
    text_kv: TextKV | None,
) -> Tensor:
    with directed(network, directives), projected(network, text, text_kv):
        return network(x, t, encoder_hidden_states=text, encoder_attention_mask=text_mask, return_dict=False)[0]


class UNetBackbone:
    """`UNet2DConditionModel` conditioned on text by cross-attention.

    A network with more input channels than the `channels` of x (as many as come out, unless said) takes a `Concat` of
    as many planes, and sees [x, planes]. One of patches sees them as pictures of 1/patch the side and patch^2 times the
    channels (Luhman & Luhman 2022, "Improving Diffusion Model Efficiency Through Patching", section 3).
    `accepts` names the parts of a Condition that the network takes and their widths; any other part is refused
    by name. The network's time `t` is its own (an index 0 to N - 1): `Preconditioned` maps ours to it.
    The output is float32 whatever the precision of the weights. `run` is the network as the engine
    prepared it, with the inputs of `spec` by name: what training's loss calls.
    """

    differentiable = True

    def __init__(
        self, network: torch.nn.Module, engine: Engine | None = None, channels: int | None = None, patch: int = 1
    ):
        engine = engine or Eager()
        self.network, self.patch, self.spec = network, patch, spec(network)
        self.run = engine.prepare(network, self.spec)
        self.text_kv = TextKVCache(network, engine)
        self._cast: tuple[Tensor, Tensor] | None = None
        config: Any = network.config
        planes = int(config["in_channels"]) // patch**2 - (channels or int(config["out_channels"]) // patch**2)
        concat: dict[type[Part], int] = {Concat: planes} if planes > 0 else {}
        directives = dict.fromkeys(DIRECTIVES, 0)
        self.accepts: Mapping[type[Part], int] = {Text: int(config["cross_attention_dim"]), **directives, **concat}

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        text, dtype = self._text(condition), own_dtype(self.network)
        embeds = self.cast(text.embeds, dtype)
        x = pixel_unshuffle(with_planes(x, condition, self.accepts.get(Concat, 0)), self.patch)
        out = self.run(
            x=x.to(dtype),
            t=t,
            text=embeds,
            text_mask=text.mask,
            directives=directives_of(condition),
            text_kv=self.text_kv.of(embeds),
        )
        return pixel_shuffle(out.float(), self.patch)

    def cast(self, embeds: Tensor, dtype: torch.dtype) -> Tensor:
        """The embeddings in the network's number type; one and the same tensor as long as the same ones come."""
        if embeds.dtype == dtype or torch.is_grad_enabled():
            return embeds.to(dtype)
        known = self._cast  # which another thread may set meanwhile
        if known is None or known[0] is not embeds or known[1].dtype != dtype:
            known = self._cast = embeds, embeds.to(dtype)
        return known[1]

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
