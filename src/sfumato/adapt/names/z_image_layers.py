"""Z-Image's transformer as Alibaba's code calls it: queries, keys and values are one layer there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sfumato.adapt.names.piece import Piece


def names(network: Any) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    """Their names of the layers that diffusers calls otherwise."""
    for layer, module in network.named_modules():
        if match := re.fullmatch(r"all_(x_embedder|final_layer)\.[\d-]+(.*)", layer):
            yield f"{match[1]}{match[2]}", (Piece(layer),)
        if hasattr(module, "to_q"):
            yield f"{layer}.qkv", tuple(Piece(f"{layer}.{each}") for each in ("to_q", "to_k", "to_v"))
            yield f"{layer}.out", (Piece(f"{layer}.to_out.0"),)
