"""Names of the transformers of Stable Diffusion 3 (Esser et al. 2024), FLUX.1, Qwen-Image and Z-Image in their makers'
files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sfumato.formats.key_names import NamedPiece, Naming

_SD3_OUTER = {
    "pos_embed.proj": "x_embedder.proj",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "proj_out": "final_layer.linear",
}
_SD3_BLOCK = {
    "attn.norm_q": "x_block.attn.ln_q",
    "attn.norm_k": "x_block.attn.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q",
    "attn.norm_added_k": "context_block.attn.ln_k",
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
    "attn2.norm_q": "x_block.attn2.ln_q",
    "attn2.norm_k": "x_block.attn2.ln_k",
    "attn2.to_out.0": "x_block.attn2.proj",
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}
_SD3_STACKED = {"attn.to_": "x_block.attn.qkv", "attn2.to_": "x_block.attn2.qkv", "attn.add_": "context_block.attn.qkv"}
_FLUX_OUTER = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "proj_out": "final_layer.linear",
}
_FLUX_DOUBLE = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
}
_FLUX_STACKED = {"attn.to_": "img_attn.qkv", "attn.add_": "txt_attn.qkv"}
_FLUX_SINGLE = {
    "norm.linear": "modulation.lin",
    "attn.norm_q": "norm.query_norm",
    "attn.norm_k": "norm.key_norm",
    "proj_out": "linear2",
}
_QKV = re.compile(r"(attn2?\.(?:to_|add_))([qkv])(?:_proj)?")


def sd3_names(blocks: int) -> Naming:
    """The naming of a SD3Transformer2DModel; its last block shifts and scales the text the other way around."""

    def name(ours: str) -> NamedPiece:
        if ours == "pos_embed.pos_embed":
            return NamedPiece("pos_embed")
        part, _, number = ours.rpartition(".")
        if part == "norm_out.linear":
            return NamedPiece(f"final_layer.adaLN_modulation.1.{number}", "swapped")
        if match := re.fullmatch(r"transformer_blocks\.(\d+)\.(.*)", part):
            block, inner = f"joint_blocks.{match[1]}", match[2]
            if stacked := _stacked(inner, _SD3_STACKED):
                return NamedPiece(f"{block}.{stacked[0]}.{number}", place=stacked[1])
            last = int(match[1]) == blocks - 1 and inner == "norm1_context.linear"
            return NamedPiece(f"{block}.{_SD3_BLOCK.get(inner, inner)}.{number}", "swapped" if last else "")
        return NamedPiece(f"{_SD3_OUTER.get(part, part)}.{number}")

    return name


def flux_names(ours: str) -> NamedPiece:
    """The naming of a FluxTransformer2DModel."""
    part, _, number = ours.rpartition(".")
    if part == "norm_out.linear":
        return NamedPiece(f"final_layer.adaLN_modulation.1.{number}", "swapped")
    if match := re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.*)", part):
        block, inner = f"{'single' if match[1] else 'double'}_blocks.{match[2]}", match[3]
        number = "scale" if "attn.norm_" in inner else number
        if match[1]:
            stacked = _stacked(inner, {"attn.to_": "linear1"}) or (("linear1", 3) if inner == "proj_mlp" else None)
            inner = _FLUX_SINGLE.get(inner, inner)
        else:
            stacked = _stacked(inner, _FLUX_STACKED)
            inner = _FLUX_DOUBLE.get(inner, inner)
        if stacked:
            return NamedPiece(f"{block}.{stacked[0]}.{number}", place=stacked[1])
        return NamedPiece(f"{block}.{inner}.{number}")
    return NamedPiece(f"{_FLUX_OUTER.get(part, part)}.{number}")


def qwen_image_names(ours: str) -> NamedPiece:
    """The naming of a QwenImageTransformer2DModel: its makers' is diffusers'."""
    return NamedPiece(ours)


def z_image_names(ours: str) -> NamedPiece:
    """The naming of a ZImageTransformer2DModel."""
    if match := re.fullmatch(r"all_(final_layer|x_embedder)\.2-1\.(.*)", ours):
        return NamedPiece(f"{match[1]}.{match[2]}")
    block, attention, inner = ours.partition(".attention.")
    part, _, number = inner.rpartition(".")
    if stacked := _stacked(f"attn.{part}", {"attn.to_": "qkv"}):
        return NamedPiece(f"{block}.attention.{stacked[0]}.{number}", place=stacked[1])
    renamed = {"to_out.0": "out", "norm_q": "q_norm", "norm_k": "k_norm"}.get(part)
    return NamedPiece(f"{block}{attention}{renamed}.{number}" if renamed else ours)


def _stacked(inner: str, where: Mapping[str, str]) -> tuple[str, int] | None:
    """The tensor in which queries, keys and values are stacked, and the place in it."""
    match = _QKV.fullmatch(inner)
    return (where[match[1]], "qkv".index(match[2])) if match and match[1] in where else None
