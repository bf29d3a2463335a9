"""A diffusers U-Net of pixels as a Backbone: unconditional, or told a class in one of two ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sfumato.condition import Attention, Concat, Condition, Label, Part
from sfumato.network.attention_directives import directed, directives_of
from sfumato.network.engine import Eager, Engine
from sfumato.network.planes import refuse_others, with_planes
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.picture import BadInput


def spec(network: Any) -> NetworkSpec:
    """The inputs of a `UNet2DModel`: [x, planes, class], its own time, a class, and what is asked of its attention."""
    config = network.config
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "classes": Input(("rows",), "int64", needed=config["num_class_embeds"] is not None),
            "directives": Input(("rows",), "object", needed=False),
        },
        _forward,
    )


def _forward(network: Any, x: Tensor, t: Tensor, classes: Tensor | None, directives: Condition | None) -> Tensor:
    with directed(network, directives):
        return network(x, t, class_labels=classes, return_dict=False)[0]


class UNet2DBackbone:
    """`UNet2DModel`, alone or conditioned on a `Label`:

    - by time: the network embeds the class itself and adds it to its time (Dhariwal & Nichol 2021, section 4.1);
      its config has `num_class_embeds`;
    - by channels: a row of `embedding` (K, w), one for each class, stands beside the picture as w constant planes, so
      that the network has C + w input channels.

    `accepts` has Label: K, where K counts the null too, unless the network is unconditional, and Concat: as many planes
    as the network has input channels beyond the `channels` of x and w; any other part but `Attention` is refused by
    name. The network sees [x, planes, class]. Like `UNetBackbone` it takes the network's own time and answers in
    float32.
    """

    differentiable = True

    def __init__(
        self,
        network: nn.Module,
        engine: Engine | None = None,
        embedding: Tensor | None = None,
        channels: int | None = None,
    ):
        self.network, self.spec = network, spec(network)
        self.run = (engine or Eager()).prepare(network, self.spec)
        self.embedding = embedding
        config: Any = network.config
        count = config["num_class_embeds"] if embedding is None else len(embedding)
        rest = int(config["in_channels"]) - (0 if embedding is None else embedding.shape[1])
        planes = 0 if channels is None else rest - channels
        widths = {Label: int(count or 0), Concat: planes}
        self.accepts: Mapping[type[Part], int] = {Attention: 0, **{part: n for part, n in widths.items() if n > 0}}

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        ids = self._ids(condition, x.device)
        x = with_planes(x.to(own_dtype(self.network)), condition, self.accepts.get(Concat, 0))
        if self.embedding is not None and ids is not None:
            planes = nn.functional.embedding(ids, self.embedding.to(ids.device))[:, :, None, None]
            planes = planes.expand(-1, -1, *x.shape[2:])
            x, ids = torch.cat([x, planes.to(x)], dim=1), None
        return self.run(x=x, t=t, classes=ids, directives=directives_of(condition)).float()

    def _ids(self, condition: Condition, device: torch.device) -> Tensor | None:
        refuse_others(condition, self.accepts)
        label = condition.get(Label)
        if Label in self.accepts and label is None:
            raise BadInput("This network needs exactly one Label condition; its null is a label too.")
        return None if label is None else label.ids.to(device)
