"""Adapters into files that every tool reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.adapt.kohya_file import is_kohyas, kohya, lycoris
from sfumato.adapt.layers import Change
from sfumato.adapt.names import Piece
from sfumato.adapt.peft_file import diffusers
from sfumato.adapt.read import Contents
from sfumato.lazy import torch
from sfumato.picture.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.adapt.families import Family

Layers = Mapping[tuple[str, str], Mapping[str, "Tensor"]]
"""(part, layer) -> the tensors of an adapter there, by the names that its family gives them."""


def write(
    path: Path,
    family: Family,
    layers: Layers,
    networks: Mapping[str, nn.Module],
    header: Mapping[str, str],
    dtype: str = "float32",
) -> None:
    """Writes the file of an adapter of one family for networks.

    Of U-Nets it is kohya's, or for what his scripts don't read LyCORIS', which A1111, ComfyUI, diffusers and we read;
    of transformers, whose layers kohya's files fuse, diffusers'. header: further texts in the file. dtype: of the
    numbers.
    """
    numbers, none = getattr(torch, dtype), Contents({}, {})
    changes = [
        Change(part, (Piece(layer),), family, {name: _plain(each, numbers) for name, each in tensors.items()}, none)
        for (part, layer), tensors in layers.items()
    ]
    simple = all(is_kohyas(change) for change in changes)
    own = diffusers if "transformer" in networks else kohya if simple else lycoris
    tensors, said = own(changes, networks, path.name)
    save(path, tensors, said | dict(header))


def _plain(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to("cpu", dtype if tensor.ndim else torch.float32)


def write_words(path: Path, word: str, vectors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Writes the file of an embedding. vectors: (n, width) for each text encoder, by its part's name.

    For one text encoder it is diffusers' {word: vectors}; for the two of Stable Diffusion XL {"clip_l", "clip_g"}.
    """
    names = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"} if len(vectors) > 1 else dict.fromkeys(vectors, word)
    save(path, {names[part]: each.detach().cpu() for part, each in vectors.items()}, header)


def save(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Whole or not at all. The texts stand in their order, so that equal adapters are equal files (safetensors writes
    them in any)."""
    from safetensors.torch import save

    data = save({key: each.contiguous() for key, each in tensors.items()})
    length = int.from_bytes(data[:8], "little")
    said = {"__metadata__": {"format": "pt", **dict(sorted(header.items()))}, **json.loads(data[8 : 8 + length])}
    written = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    written += b" " * (-len(written) % 8)
    write_atomically(path, len(written).to_bytes(8, "little") + written + data[8 + length :])
