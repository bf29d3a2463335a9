"""transformers' `CLIPTextModel` and `CLIPTextModelWithProjection` as an engine runs them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec, device_of


def clip_text(skip: int = 0, *, normed: bool = True, pooled: bool = False) -> NetworkSpec:
    """The hidden state `skip` layers before the last, after the final layer norm if `normed`; with `pooled` it is
    (states, text embedding), the latter of the last layer where the text ends, (rows, width), through the projection of
    an encoder that has one."""

    def states(encoder: Any, ids: Tensor) -> Any:
        answer = encoder(ids.to(device_of(encoder)), output_hidden_states=bool(skip) or not normed)
        if normed and not skip:
            found = answer.last_hidden_state
        else:
            found = answer.hidden_states[-(skip + 1)]
            found = getattr(encoder, "text_model", encoder).final_layer_norm(found) if normed else found
        if not pooled:
            return found
        return found, answer.text_embeds if "text_embeds" in answer else answer.pooler_output

    return NetworkSpec({"ids": Input(("rows", "tokens"), "int64")}, states)


CLIP_TEXT = clip_text()
"""The last hidden state, after the final layer norm."""


def _pooled(encoder: Any, ids: Tensor) -> Tensor:
    return encoder(ids.to(device_of(encoder))).pooler_output


CLIP_POOLED = NetworkSpec({"ids": Input(("rows", "tokens"), "int64")}, _pooled)
"""The last hidden state where the text ends, (rows, width), without a projection."""
