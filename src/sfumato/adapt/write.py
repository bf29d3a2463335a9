"""Adapters into files that every tool reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.adapt.names import flat
from sfumato.lazy import torch
from sfumato.picture.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.adapt.families import Family

Layers = Mapping[tuple[str, str], Mapping[str, "Tensor"]]
"""(part, layer) -> the tensors of an adapter there, by the names that its family gives them."""
KOHYA = {"unet": "lora_unet_", "text_encoder": "lora_te_"}
KOHYA_OF_TWO = KOHYA | {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
HALVES = {"down": ".lora_A.weight", "up": ".lora_B.weight"}


def write(path: Path, family: Family, layers: Layers, header: Mapping[str, str], dtype: str = "float32") -> None:
    """Writes the file of an adapter of one family.

    The names are kohya's (and LyCORIS'), which A1111, ComfyUI, diffusers and we read; of transformers diffusers', whose
    alpha is multiplied into B. header: further texts in the file. dtype: of the numbers.
    """
    parts = {part for part, _ in layers}
    names = KOHYA_OF_TWO if "text_encoder_2" in parts else KOHYA
    endings = {**family.written, "magnitude": ".dora_scale"}
    found: dict[str, Tensor] = {}
    for (part, layer), tensors in layers.items():
        if part in names:
            read = part.startswith("text_encoder") and not layer.startswith("text_model.")
            stem = names[part] + ("text_model_" if read else "") + flat(layer)
            found |= {stem + endings[name]: each for name, each in tensors.items()}
        else:
            found |= {f"{part}.{layer}{HALVES[name]}": t for name, t in _without_alpha(tensors).items()}
    numbers = getattr(torch, dtype)
    whole = {key: each.detach().to("cpu", torch.float32 if not each.ndim else numbers) for key, each in found.items()}
    save(path, whole, header)


def _without_alpha(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    scale = float(tensors["alpha"]) / len(tensors["down"]) if "alpha" in tensors else 1.0
    return {"down": tensors["down"], "up": tensors["up"] * scale}


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
