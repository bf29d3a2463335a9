"""diffusers' `DiTTransformer2DModel` as a Backbone: latents told a class (Peebles & Xie 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sfumato.condition import Attention, Condition, Label
from sfumato.network.attention_directives import directed, directives_of
from sfumato.network.backbone import NetworkBackbone
from sfumato.network.engine import Engine
from sfumato.network.spec import Input, NetworkSpec
from sfumato.picture import BadInput


def dit_backbone(network: Any, engine: Engine) -> NetworkBackbone:
    """x, its time, a class or the index behind the last, which is none, and what is asked of its attention."""
    spec = NetworkSpec(
        {
            "x": Input(("rows", int(network.config["in_channels"]), "side", "side")),
            "t": Input(("rows",), "float32"),
            "classes": Input(("rows",), "int64"),
            "directives": Input(("rows",), "object", needed=False),
        },
        _forward,
    )

    def told(x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Any]:
        label, (height, width) = condition.get(Label), x.shape[2:]
        if label is None:
            raise BadInput("This network needs exactly one Label condition; its null is a label too.")
        if height != width:
            raise BadInput(f"This network paints squares alone, and x has {height} x {width} cells: give equal sides.")
        return {"x": x, "t": t, "classes": label.ids.to(x.device), "directives": directives_of(condition)}

    accepts = {Label: int(network.config["num_embeds_ada_norm"]) + 1, Attention: 0}
    return NetworkBackbone(network, spec, accepts, told, engine=engine)


def _forward(network: Any, x: Tensor, t: Tensor, classes: Tensor, directives: Condition | None) -> Tensor:
    with directed(network, directives):
        return network(x, timestep=t, class_labels=classes, return_dict=False)[0]
