"""U-Nets as CompVis' code calls their blocks: `input_blocks.4.1.transformer_blocks.0.attn1.to_q`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sfumato.adapt.names.piece import Piece

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
OUTER = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip


def names(network: Any, layers: set[str]) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    """The name of each of the `layers` there, with the one here."""
    blocks = dict(_blocks(network))
    for layer in layers:
        if layer in OUTER:
            yield OUTER[layer], (Piece(layer),)
        for ours, theirs in blocks.items():
            if layer == ours:
                yield theirs, (Piece(layer),)
            elif layer.startswith(f"{ours}."):
                inner = layer.removeprefix(f"{ours}.")
                yield f"{theirs}.{RESNET.get(inner, inner) if '.resnets.' in f'.{ours}' else inner}", (Piece(layer),)


def _blocks(network: Any) -> Iterator[tuple[str, str]]:
    """Our name and theirs of every resnet, transformer, down- and upsampler."""
    count = 1
    for i, block in enumerate(network.down_blocks):
        attended = getattr(block, "attentions", None) is not None
        for j in range(len(block.resnets)):
            yield f"down_blocks.{i}.resnets.{j}", f"input_blocks.{count}.0"
            if attended:
                yield f"down_blocks.{i}.attentions.{j}", f"input_blocks.{count}.1"
            count += 1
        if getattr(block, "downsamplers", None):
            yield f"down_blocks.{i}.downsamplers.0.conv", f"input_blocks.{count}.0.op"
            count += 1
    for ours, theirs in (("resnets.0", 0), ("attentions.0", 1), ("resnets.1", 2)):
        yield f"mid_block.{ours}", f"middle_block.{theirs}"
    count = 0
    for i, block in enumerate(network.up_blocks):
        attended = getattr(block, "attentions", None) is not None
        for j in range(len(block.resnets)):
            yield f"up_blocks.{i}.resnets.{j}", f"output_blocks.{count + j}.0"
            if attended:
                yield f"up_blocks.{i}.attentions.{j}", f"output_blocks.{count + j}.1"
        count += len(block.resnets)
        if getattr(block, "upsamplers", None):
            yield f"up_blocks.{i}.upsamplers.0", f"output_blocks.{count - 1}.{1 + attended}"
