"""Attention spelled out: the maps softmax(Q K^T / sqrt(d)) and the values V of a diffusers module, and its way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def entered(module: Any, hidden: Tensor) -> Tensor:
    """What the module's linear layers see: (B, N, C) of (B, N, C), or of the (B, C, H, W) of networks of pixels."""
    x = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden
    return x if module.group_norm is None else module.group_norm(x.transpose(1, 2)).transpose(1, 2)


def left(module: Any, inner: Tensor, hidden: Tensor) -> Tensor:
    """The module's answer, in the shape of `hidden`, from what its heads found side by side: inner (B, N, heads d)."""
    x = module.to_out[0](inner)
    if hidden.ndim == 4:
        x = x.transpose(1, 2).reshape(hidden.shape)
    return (x + hidden if module.residual_connection else x) / module.rescale_output_factor


def maps_and_values(
    module: Any, hidden: Tensor, encoder_hidden_states: Tensor | None = None, attention_mask: Tensor | None = None, **_
) -> tuple[Tensor, Tensor]:
    """Maps (B, heads, N, L), in float32, and values (B, heads, L, d); L are the text's tokens, or the N places.

    attention_mask (B, 1, L) is added before the softmax.
    """
    scores, values = scores_and_values(module, hidden, encoder_hidden_states, attention_mask)
    return scores.softmax(-1), values


def scores_and_values(
    module: Any, hidden: Tensor, encoder_hidden_states: Tensor | None = None, attention_mask: Tensor | None = None, **_
) -> tuple[Tensor, Tensor]:
    """What the maps are the softmax of, and the values, as in `maps_and_values`."""
    x = entered(module, hidden)
    seen = x if encoder_hidden_states is None else encoder_hidden_states
    if encoder_hidden_states is not None and module.norm_cross:
        seen = module.norm_encoder_hidden_states(seen)
    q, k, v = (_heads(module, a) for a in (module.to_q(x), module.to_k(seen), module.to_v(seen)))
    q = q if module.norm_q is None else module.norm_q(q)
    k = k if module.norm_k is None else module.norm_k(k)
    scores = (q.float() @ k.float().transpose(-1, -2)) * module.scale
    if attention_mask is not None:
        scores = scores + attention_mask[:, None]
    return scores, v


def attended(maps: Tensor, values: Tensor) -> Tensor:
    """maps values, the heads side by side: (B, N, heads d)."""
    return (maps @ values.float()).to(values.dtype).transpose(1, 2).flatten(2)


def divided(scores: Tensor, lengths: Sequence[int], shares: Tensor) -> Tensor:
    """The maps (R, heads, N, L) of places that attend to texts of so many `lengths` tokens, each by itself:
    share_k softmax(scores of text k). shares (R, N, K), which add up to 1."""
    texts = scores.split(list(lengths), -1)
    maps = [share[:, None, :, None] * text.softmax(-1) for share, text in zip(shares.unbind(-1), texts, strict=True)]
    return torch.cat(maps, -1)


def injected(own: Tensor, source: Tensor, mapping: Tensor, weight: Tensor, cross: Tensor) -> Tensor:
    """The edited rows' cross-attention maps (R, heads, N, L), from their own and their companions'.

    weight_j (sum_i source_i mapping_ij, where `cross` and column j of the mapping is not empty, else own_j); tokens
    beyond those of the mapping stay. Hertz et al. 2022, section 3.2: word swap, adding a phrase, re-weighting.
    """
    more = own.shape[-1] - mapping.shape[-1]
    mapping, weight = functional.pad(mapping, (0, more, 0, more)), functional.pad(weight, (0, more), value=1.0)
    taken = (mapping != 0).any(1) & (cross > 0)[:, None]
    moved = source @ mapping[:, None].to(own)
    return weight[:, None, None].to(own) * torch.where(taken[:, None, None], moved, own)


def _heads(module: Any, x: Tensor) -> Tensor:
    """(B, N, heads d) -> (B, heads, N, d)"""
    return x.unflatten(-1, (module.heads, -1)).transpose(1, 2)
