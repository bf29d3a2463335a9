"""Stable Diffusion 3's transformer as Stability's code calls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sfumato.adapt.names.piece import Piece

BLOCK = {
    "x_block.attn.proj": "attn.to_out.0", "context_block.attn.proj": "attn.to_add_out",
    "x_block.attn2.proj": "attn2.to_out.0",
    "x_block.mlp.fc1": "ff.net.0.proj", "x_block.mlp.fc2": "ff.net.2",
    "context_block.mlp.fc1": "ff_context.net.0.proj", "context_block.mlp.fc2": "ff_context.net.2",
    "x_block.adaLN_modulation.1": "norm1.linear", "context_block.adaLN_modulation.1": "norm1_context.linear",
}  # fmt: skip
FUSED = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
OUTER = {
    "context_embedder": "context_embedder", "x_embedder.proj": "pos_embed.proj", "final_layer.linear": "proj_out",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
}  # fmt: skip


def names(network: Any) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    for theirs, ours in OUTER.items():
        yield theirs, (Piece(ours),)
    halves = (Piece("norm_out.linear", 0.5, 1.0), Piece("norm_out.linear", 0.0, 0.5))  # shift and scale change places
    yield "final_layer.adaLN_modulation.1", halves
    last = len(network.transformer_blocks) - 1
    for i in range(last + 1):
        for theirs, ours in BLOCK.items():
            pieces = (Piece(f"transformer_blocks.{i}.{ours}"),)
            if i == last and ours == "norm1_context.linear":  # the last block's context has shift and scale alone
                pieces = tuple(Piece(pieces[0].layer, begin, begin + 0.5) for begin in (0.5, 0.0))
            yield f"joint_blocks.{i}.{theirs}", pieces
        for theirs, layers in FUSED.items():
            yield f"joint_blocks.{i}.{theirs}", tuple(Piece(f"transformer_blocks.{i}.{ours}") for ours in layers)
