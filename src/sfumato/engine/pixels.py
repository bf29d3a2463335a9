"""A diffusers U-Net of pixels as a Backbone: unconditional, or told a class in one of two ways."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sfumato.condition import Attention, Condition, Label, Part
from sfumato.engine.attention import directed
from sfumato.engine.backbone import refuse_others
from sfumato.engine.run import Engine, engine
from sfumato.picture import BadInput


class UNet2DBackbone:
    """`UNet2DModel`, alone or conditioned on a `Label`:

    - by time: the network embeds the class itself and adds it to its time (Dhariwal & Nichol 2021, section 4.1);
      its config has `num_class_embeds`;
    - by channels: a row of `embedding` (K, w), one for each class, stands beside the picture as w constant planes, so
      that the network has C + w input channels.

    `accepts` has Label: K, where K counts the null too, unless the network is unconditional; any other part but
    `Attention` is refused by name. Like `UNetBackbone` it takes the network's own time and answers in float32.
    """

    differentiable = True

    def __init__(self, network: torch.nn.Module, execute: Engine | None = None, embedding: Tensor | None = None):
        self.network = network
        self.execute = execute or engine("eager")
        self.embedding = embedding
        count = network.config["num_class_embeds"] if embedding is None else len(embedding)  # pyright: ignore[reportIndexIssue, reportArgumentType]
        self.accepts: Mapping[type[Part], int] = {Attention: 0, **({Label: int(count)} if count else {})}

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        ids = self._ids(condition, x.device)
        x = x.to(next(self.network.parameters()).dtype)
        if self.embedding is not None:
            planes = self.embedding[ids][:, :, None, None].expand(-1, -1, *x.shape[2:])
            x, ids = torch.cat([x, planes.to(x)], dim=1), None
        with self.execute(), directed(self.network, condition):
            return self.network(x, t, class_labels=ids, return_dict=False)[0].float()

    def _ids(self, condition: Condition, device: torch.device) -> Tensor | None:
        refuse_others(condition, self.accepts)
        label = condition.get(Label)
        if Label in self.accepts and label is None:
            raise BadInput("This network needs exactly one Label condition; its null is a label too.")
        return None if label is None else label.ids.to(device)
