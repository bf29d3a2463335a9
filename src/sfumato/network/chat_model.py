"""A chat model of transformers (Qwen2.5-VL, Qwen3, ...) as an engine runs it, to read words and not to answer them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec, device_of, own_dtype


def chat_states(layers: Sequence[int] = (-1,)) -> NetworkSpec:
    """Token ids (N, L) -> the hidden states of `layers` beside one another, (N, L, layers x width).

    Layer 0 is the embedding, layer -1 the last, after the final norm. mask (N, L): 0 where a text was filled up.
    patches, grid: pictures as `sfumato.encode.vision_patches` cuts them, in the order in which the ids name them.
    """
    return NetworkSpec(
        {
            "ids": Input(("rows", "tokens"), "int64"),
            "mask": Input(("rows", "tokens"), "int64", needed=False),
            "patches": Input(("patches", "values"), needed=False),
            "grid": Input(("pictures", 3), "int64", needed=False),
        },
        partial(_states, layers=tuple(layers)),
    )


def _states(
    encoder: Any, ids: Tensor, mask: Tensor | None, patches: Tensor | None, grid: Tensor | None, layers: tuple[int, ...]
) -> Tensor:
    device = device_of(encoder)
    ids = ids.to(device)
    seen: dict[str, Any] = {}
    if patches is not None and grid is not None:
        shown = (ids == encoder.config.image_token_id).int()  # else pictures are read as a row of words, not as a grid
        seen = {"pixel_values": patches.to(device, own_dtype(encoder)), "image_grid_thw": grid.to(device)}
        seen["mm_token_type_ids"] = shown
    told = None if mask is None else mask.to(device)
    # the base model: the head, which would choose an answer's words, is not asked
    out = encoder.base_model(ids, attention_mask=told, output_hidden_states=True, use_cache=False, **seen)
    return torch.cat([out.hidden_states[layer] for layer in layers], dim=-1)
