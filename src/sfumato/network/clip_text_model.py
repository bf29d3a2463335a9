"""transformers' `CLIPTextModel` as an engine runs it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec, device_of


def _states(encoder: Any, ids: Tensor) -> Tensor:
    """The last hidden state, after the final layer norm."""
    return encoder(ids.to(device_of(encoder))).last_hidden_state


CLIP_TEXT = NetworkSpec({"ids": Input(("rows", "tokens"), "int64")}, _states)
