"""A diffusers U-Net as a Backbone: (x, t, condition) -> F, whatever the engine."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sfumato.condition import Attention, Condition, Part, Text
from sfumato.engine.attention import directed
from sfumato.engine.memory import TextMemory
from sfumato.engine.run import Engine, engine
from sfumato.picture import BadInput


class UNetBackbone:
    """`UNet2DConditionModel` conditioned on text by cross-attention.

    `accepts` names the parts of a Condition that the network takes and their widths; any other part is refused
    by name. The network's time `t` is its own (an index 0 to N - 1): `Preconditioned` maps ours to it.
    The output is float32 whatever the precision of the weights.
    """

    differentiable = True

    def __init__(self, network: torch.nn.Module, execute: Engine | None = None):
        self.network = network
        self.execute = execute or engine("eager")
        self.memory = TextMemory(network)
        width: int = network.config["cross_attention_dim"]  # pyright: ignore[reportIndexIssue, reportAssignmentType, reportArgumentType]
        self.accepts: Mapping[type[Part], int] = {Text: int(width), Attention: 0}

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        text = self._text(condition)
        dtype = next(self.network.parameters()).dtype
        embeds = text.embeds.to(dtype)
        with self.execute(), directed(self.network, condition), self.memory.of(embeds):
            out = self.network(
                x.to(dtype),
                t,
                encoder_hidden_states=embeds,
                encoder_attention_mask=text.mask,
                return_dict=False,
            )[0]
        return out.float()

    def _text(self, condition: Condition) -> Text:
        refuse_others(condition, self.accepts)
        text, width = condition.get(Text), self.accepts[Text]
        if text is None:
            raise BadInput("This network needs exactly one Text condition; give it a prompt (an empty one will do).")
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
