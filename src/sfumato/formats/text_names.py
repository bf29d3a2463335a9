"""Names of text encoders in single files: transformers' own, and OpenCLIP's, which stacks queries, keys and values."""

from __future__ import annotations

import re

from sfumato.formats.key_names import NamedPiece, Naming

_STACKED = ("q_proj", "k_proj", "v_proj")
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.*)\.(weight|bias)")
_INNER = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OUTER = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}


def clip_names(ours: str) -> NamedPiece:
    """transformers' CLIPTextModel, with or without `text_model.` before its names, as they were first: with."""
    bare = ours.removeprefix("text_model.")
    return NamedPiece(bare if bare.startswith("text_projection") else f"text_model.{bare}")


def bare_clip_names(ours: str) -> NamedPiece:
    """The same without `text_model.`, as a few files have it."""
    return NamedPiece(ours.removeprefix("text_model."))


def unprojected(naming: Naming) -> Naming:
    """CLIP's names in a file without a projection, where that of the family is none, as in Stable Diffusion 3: 1."""

    def named(ours: str) -> NamedPiece:
        return NamedPiece(ours, "identity") if ours == "text_projection.weight" else naming(ours)

    return named


def open_clip_names(ours: str) -> NamedPiece:
    """OpenCLIP's text tower."""
    bare = ours.removeprefix("text_model.")
    if bare == "text_projection.weight":
        return NamedPiece("text_projection", "transposed")
    if match := _LAYER.fullmatch(bare):
        block = f"transformer.resblocks.{match[1]}"
        inner = match[2].rpartition(".")[2]
        if inner in _STACKED:
            return NamedPiece(f"{block}.attn.in_proj_{match[3]}", place=_STACKED.index(inner))
        return NamedPiece(f"{block}.{_INNER.get(match[2], match[2])}.{match[3]}")
    return NamedPiece(_OUTER.get(bare, bare))


def t5_names(ours: str) -> NamedPiece:
    """transformers' T5EncoderModel, whose embedding has two names."""
    return NamedPiece("shared.weight", "again") if ours == "encoder.embed_tokens.weight" else NamedPiece(ours)
