"""transformers' `T5EncoderModel` as an engine runs it (Raffel et al. 2020)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec, device_of


def _states(encoder: Any, ids: Tensor, mask: Tensor | None) -> Tensor:
    """The last hidden state, after the final norm; what the mask leaves out nothing attends to."""
    device = device_of(encoder)
    return encoder(ids.to(device), attention_mask=None if mask is None else mask.to(device)).last_hidden_state


T5_ENCODER = NetworkSpec(
    {"ids": Input(("rows", "tokens"), "int64"), "mask": Input(("rows", "tokens"), "bool", needed=False)}, _states
)
