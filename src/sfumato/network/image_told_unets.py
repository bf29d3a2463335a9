"""`UNet2DConditionModel`s told an image embedding, as Backbones: the decoders of Kandinsky 2.2 and of unCLIP.

Their attention is to the words and to the picture at once, so that it takes no directives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import pad

from sfumato.condition import Concat, Condition, Controls, Image, Part, Text
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.planes import image_of, pooled_of, text_of, with_planes
from sfumato.network.residuals import instead, residuals_of
from sfumato.network.spec import Input, NetworkSpec, own_dtype


def kandinsky_backbone(network: Any, engine: Engine, channels: int) -> NetworkBackbone:
    """[x, planes], its time and an image embedding, which the network projects to tokens and to a vector beside the
    time's (`encoder_hid_dim_type` "image_proj", `addition_embed_type` "image")."""
    config = network.config
    width, planes = int(config["encoder_hid_dim"]), int(config["in_channels"]) - channels

    def forward(network: Any, x: Tensor, t: Tensor, image: Tensor) -> Tensor:
        told = {"image_embeds": image}
        return network(x, t, encoder_hidden_states=None, added_cond_kwargs=told, return_dict=False)[0]

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        return {"x": with_planes(x, condition, planes), "t": t, "image": image_of(condition, width)}

    inputs = {
        "x": Input(("rows", int(config["in_channels"]), "height", "width")),
        "t": Input(("rows",), "float32"),
        "image": Input(("rows", width)),
    }
    concat: dict[type[Part], int] = {Concat: planes} if planes else {}
    accepts: dict[type[Part], int] = {Image: width, Controls: 0, **concat}
    return Instead(network, NetworkSpec(inputs, forward), accepts, told, engine=engine)


class Instead(NetworkBackbone):
    """A decoder whose ControlNets answer in its place."""

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        added = residuals_of(x, t, condition, {"image": image_of(condition, self.accepts[Image])})
        answer = super().__call__
        return instead(added, lambda: answer(x, t, condition))


def unclip_backbone(network: Any, projection: Any, engine: Engine) -> NetworkBackbone:
    """x, its time, a text with its mask and pooled embedding, and an image embedding: what `UnCLIPTextProjModel` makes
    of both are the network's tokens and its class embedding."""
    width, extra = int(projection.config["clip_embeddings_dim"]), int(projection.config["clip_extra_context_tokens"])
    project, own = engine.prepare(projection, PROJECTION), own_dtype(projection)

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        text, image = text_of(condition, width), image_of(condition, width)
        words = {"pooled": pooled_of(text, width), "text": text.embeds}
        tokens, added = project(image=image.to(own), **{name: value.to(own) for name, value in words.items()})
        mask = None if text.mask is None else pad(text.mask, (extra, 0), value=True)
        return {"x": x, "t": t, "text": tokens, "text_mask": mask, "added": added}

    def forward(network: Any, x: Tensor, t: Tensor, text: Tensor, text_mask: Tensor | None, added: Tensor) -> Tensor:
        return network(
            x, t, encoder_hidden_states=text, encoder_attention_mask=text_mask, class_labels=added, return_dict=False
        )[0]

    inputs = {
        "x": Input(("rows", int(network.config["in_channels"]), "height", "width")),
        "t": Input(("rows",), "float32"),
        "text": Input(("rows", "tokens", int(projection.config["cross_attention_dim"]))),
        "text_mask": Input(("rows", "tokens"), "bool", needed=False),
        "added": Input(("rows", int(projection.config["time_embed_dim"]))),
    }
    return NetworkBackbone(network, NetworkSpec(inputs, forward), {Text: width, Image: width}, told, engine=engine)


PROJECTION = NetworkSpec(
    {"image": Input(("rows", "width")), "pooled": Input(("rows", "width")), "text": Input(("rows", "tokens", "width"))},
    lambda projection, image, pooled, text: projection(image, pooled, text),
)
