"""FLUX.1's and FLUX.2's transformers as Black Forest Labs' code calls them: queries, keys and values (and more) are one
layer there. Of the names that two versions have for a layer the one counts that the network has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sfumato.adapt.names.piece import Piece

DOUBLE = {
    "img_attn.proj": "attn.to_out.0", "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj", "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj", "txt_mlp.2": "ff_context.net.2",
    "img_mod.lin": "norm1.linear", "txt_mod.lin": "norm1_context.linear",
}  # fmt: skip
DOUBLE_2 = {
    "img_mlp.0": "ff.linear_in", "img_mlp.2": "ff.linear_out",
    "txt_mlp.0": "ff_context.linear_in", "txt_mlp.2": "ff_context.linear_out",
}  # fmt: skip
SINGLE_2 = {"linear1": "attn.to_qkv_mlp_proj", "linear2": "attn.to_out"}
SINGLE = {"linear2": "proj_out", "modulation.lin": "norm.linear"}
XLABS = {
    "qkv_lora1": ("attn.to_q", "attn.to_k", "attn.to_v"), "proj_lora1": ("attn.to_out.0",),
    "qkv_lora2": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"), "proj_lora2": ("attn.to_add_out",),
}  # fmt: skip
"""XLabs' names in a double block, after those of the picture (1) and of the words (2)."""
OUTER = {
    "img_in": "x_embedder", "txt_in": "context_embedder", "final_layer.linear": "proj_out",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear",
}  # fmt: skip


def names(network: Any) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    """The makers' names, and XLabs'."""
    yield from makers(network)
    for i in range(len(network.transformer_blocks)):
        for theirs, layers in XLABS.items():
            yield f"double_blocks.{i}.{theirs}", _all(f"transformer_blocks.{i}", *layers)
    for i in range(len(network.single_transformer_blocks)):
        block = f"single_transformer_blocks.{i}"
        yield f"single_blocks.{i}.qkv", _all(block, "attn.to_q", "attn.to_k", "attn.to_v")
        yield f"single_blocks.{i}.proj", _all(block, "proj_out")


def makers(network: Any) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    """Black Forest Labs' names, which kohya's files have too."""
    for theirs, ours in OUTER.items():
        yield theirs, (Piece(ours),)
        yield theirs, (Piece(ours.replace("time_text_embed", "time_guidance_embed")),)
    halves = (Piece("norm_out.linear", 0.5, 1.0), Piece("norm_out.linear", 0.0, 0.5))  # shift and scale change places
    yield "final_layer.adaLN_modulation.1", halves
    for i in range(len(network.transformer_blocks)):
        block = f"transformer_blocks.{i}"
        yield f"double_blocks.{i}.img_attn.qkv", _all(block, "attn.to_q", "attn.to_k", "attn.to_v")
        yield f"double_blocks.{i}.txt_attn.qkv", _all(block, "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
        for theirs, ours in (*DOUBLE.items(), *DOUBLE_2.items()):
            yield f"double_blocks.{i}.{theirs}", _all(block, ours)
    for i in range(len(network.single_transformer_blocks)):
        block = f"single_transformer_blocks.{i}"
        yield f"single_blocks.{i}.linear1", _all(block, "attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
        for theirs, ours in (*SINGLE.items(), *SINGLE_2.items()):
            yield f"single_blocks.{i}.{theirs}", _all(block, ours)


def _all(block: str, *layers: str) -> tuple[Piece, ...]:
    return tuple(Piece(f"{block}.{layer}") for layer in layers)
