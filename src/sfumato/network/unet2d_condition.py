"""A diffusers U-Net as a Backbone: (x, t, condition) -> F, whatever the engine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from sfumato.condition import Concat, Condition, Controls, GuidanceScale, Image, Layout, Level, Part, Sizes, Text
from sfumato.network.attention_directives import DIRECTIVES, directed, directives_of
from sfumato.network.engine import Eager, Engine
from sfumato.network.planes import image_of, refuse_others, text_of, with_layout, with_planes
from sfumato.network.residuals import Residuals, residuals_of
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.network.text_kv_cache import TextKV, TextKVCache, projected


def spec(network: Any, sizes: int = 0) -> NetworkSpec:
    """The inputs of a `UNet2DConditionModel`: [x, planes], its own time, a text and its mask; what a condition asks of
    its attention; the text's keys and values where they are known; what controls add on the way; and what its config
    says that it is told besides: SDXL's pooled text and `sizes` numbers, the scale of a distilled guidance, how noisy
    the planes are (an index, looked up or embedded as a time is), stable unCLIP's image embedding."""
    config = network.config
    more: dict[str, Input] = {}
    if sizes:
        pooled = int(config["projection_class_embeddings_input_dim"]) - sizes * int(config["addition_time_embed_dim"])
        more |= {"pooled": Input(("rows", pooled)), "sizes": Input(("rows", sizes), "float32")}
    if config.get("time_cond_proj_dim"):
        more["guidance"] = Input(("rows",), "float32")
    if config.get("num_class_embeds") or config.get("class_embed_type") == "timestep":
        more["level"] = Input(("rows",), "int64")
    if config.get("class_embed_type") == "projection":
        more["image"] = Input(("rows", int(config["projection_class_embeddings_input_dim"])))
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "tokens", text_width(config))),
            "text_mask": Input(("rows", "tokens"), "bool", needed=False),
            "directives": Input(("rows",), "object", needed=False),
            "text_kv": Input(("rows", "tokens", "width"), needed=False),
            "added": Input(("rows",), "object", needed=False),
            **more,
        },
        _forward,
    )


def text_width(config: Any) -> int:
    """How wide the texts are that a `UNet2DConditionModel` is given: it may project them before it attends to them."""
    return int(config.get("encoder_hid_dim") or config["cross_attention_dim"])


def added_text(network: Any) -> bool:
    """Whether places of the picture stand beside the text in what its cross-attention attends to (DeepFloyd IF)."""
    from diffusers.models.attention_processor import Attention as Module

    modules = (module for module in network.modules() if isinstance(module, Module))
    return any(module.added_kv_proj_dim is not None for module in modules)


def _forward(
    network: Any,
    x: Tensor,
    t: Tensor,
    text: Tensor,
    text_mask: Tensor | None,
    directives: Condition | None,
    text_kv: TextKV | None,
    added: Residuals | None,
    pooled: Tensor | None = None,
    sizes: Tensor | None = None,
    guidance: Tensor | None = None,
    level: Tensor | None = None,
    image: Tensor | None = None,
) -> Tensor:
    told: dict[str, Any] = {}
    if pooled is not None:
        told["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}
    if guidance is not None:
        told["timestep_cond"] = scale_embedding(guidance, int(network.config["time_cond_proj_dim"])).to(x.dtype)
    if level is not None:
        told["class_labels"] = level
    if image is not None:
        told["class_labels"] = image
    if added is not None and added.skips:
        told["down_block_additional_residuals"] = added.skips
        told["mid_block_additional_residual"] = added.middle
    if added is not None and added.within:
        told["down_intrablock_additional_residuals"] = list(added.within)
    with directed(network, directives), projected(network, text, text_kv):
        answer = network(x, t, encoder_hidden_states=text, encoder_attention_mask=text_mask, return_dict=False, **told)
    return answer[0]


def scale_embedding(scale: Tensor, width: int) -> Tensor:
    """[sin, cos] of 1000 (scale - 1) 10000^(-i/(width/2 - 1)), (B, width): how a consistency model is told the scale of
    its distilled guidance (Luo et al. 2023, whose w is scale - 1)."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half, device=scale.device) * -(math.log(10000.0) / max(half - 1, 1)))
    angles = (1000 * (scale.float() - 1))[:, None] * frequencies
    return torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, width % 2))


class UNetBackbone:
    """`UNet2DConditionModel` conditioned on text by cross-attention.

    A network with more input channels than the `channels` of x (as many as come out, unless said) takes a `Concat` of
    as many planes, and sees [x, planes]. One of patches sees them as pictures of 1/patch the side and patch^2 times the
    channels (Luhman & Luhman 2022, "Improving Diffusion Model Efficiency Through Patching", section 3).
    `accepts` names the parts of a Condition that the network takes and their widths; any other part is refused
    by name. The network's time `t` is its own (an index 0 to N - 1): `Preconditioned` maps ours to it.
    sizes: how many numbers of `Sizes` it is told beside the text's pooled embedding (SDXL 6, its refiner 5).
    layout: how many of its input channels, the last, are a `Layout`'s: it sees [x, planes, layout].
    A `Level` is told as the index of its time in the table of as many levels as the network tells apart, or of
    `levels`. Attention to text and picture at once takes no directives.
    The output is float32 whatever the precision of the weights. `run` is the network as the engine
    prepared it, with the inputs of `spec` by name: what training's loss calls.
    """

    differentiable = True

    def __init__(
        self,
        network: torch.nn.Module,
        engine: Engine | None = None,
        channels: int | None = None,
        patch: int = 1,
        sizes: int = 0,
        levels: int = 0,
        layout: int = 0,
    ):
        engine = engine or Eager()
        self.network, self.patch, self.spec = network, patch, spec(network, sizes)
        self.run = engine.prepare(network, self.spec)
        self.text_kv = TextKVCache(network, engine)
        self._cast: tuple[Tensor, Tensor] | None = None
        config: Any = network.config
        takes = int(config["in_channels"]) // patch**2 - layout
        planes = takes - (channels or int(config["out_channels"]) // patch**2)
        concat: dict[type[Part], int] = {Concat: planes} if planes > 0 else {}
        directives = {} if added_text(network) else dict.fromkeys(DIRECTIVES, 0)
        told = {
            Layout: layout,
            Sizes: sizes,
            GuidanceScale: int("guidance" in self.spec.inputs),
            Level: int("level" in self.spec.inputs),
            Image: int(self.spec.inputs["image"].shape[1]) if "image" in self.spec.inputs else 0,
        }
        self.levels = int(config.get("num_class_embeds") or levels)
        self.accepts: Mapping[type[Part], int] = {
            Text: text_width(config),
            Controls: 0,
            **directives,
            **concat,
            **{kind: width for kind, width in told.items() if width},
        }

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        text, dtype = self._text(condition), own_dtype(self.network)
        embeds = self.cast(text.embeds, dtype)
        besides = self._besides(condition, text, dtype)
        told = {name: besides[name] for name in ("pooled", "sizes") if name in besides}
        added = residuals_of(x, t, condition, {"text": embeds, "text_mask": text.mask, **told})
        x = with_planes(x, condition, self.accepts.get(Concat, 0))
        x = with_layout(x, condition, self.accepts.get(Layout, 0))
        x = x if self.patch == 1 else pixel_unshuffle(x, self.patch)
        out = self.run(
            x=x.to(dtype),
            t=t,
            text=embeds,
            text_mask=text.mask,
            directives=directives_of(condition),
            text_kv=self.text_kv.of(embeds),
            added=None if added is None else added.map(lambda a: a.to(dtype)),
            **besides,
        )
        return out.float() if self.patch == 1 else pixel_shuffle(out.float(), self.patch)

    def _besides(self, condition: Condition, text: Text, dtype: torch.dtype) -> dict[str, Tensor]:
        """The inputs of the spec that few networks have."""
        found: dict[str, Tensor] = {}
        sizes, scale, level = condition.get(Sizes), condition.get(GuidanceScale), condition.get(Level)
        if sizes is not None and text.pooled is not None:
            found |= {"pooled": text.pooled.to(dtype), "sizes": sizes.values.float()}
        if scale is not None:
            found["guidance"] = scale.value.float()
        if Image in self.accepts:
            found["image"] = image_of(condition, self.accepts[Image]).to(dtype)
        if level is not None:
            found["level"] = (level.value * self.levels - 1).round().clamp(min=0).long()
        return found

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
        return text_of(condition, self.accepts[Text])
