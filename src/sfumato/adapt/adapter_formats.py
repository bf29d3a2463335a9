"""Adapters from one tool's format into another's: the same change of every layer, under the names that it has there.

| format | written by | holds |
|---|---|---|
| `diffusers` | diffusers and peft | LoRA, DoRA, LoHa, LoKr |
| `kohya` | kohya's scripts (sd-scripts) | LoRA, LoHa, LoKr |
| `lycoris` | LyCORIS within kohya's scripts, OneTrainer | every family of weights |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sfumato.adapt.kohya_file import Written, kohya, lycoris
from sfumato.adapt.layers import changes, word_keys
from sfumato.adapt.names.face_id import BEGINS
from sfumato.adapt.peft_file import CONFIG, diffusers
from sfumato.adapt.read import PEFTS, Contents
from sfumato.adapt.swap import check_fit
from sfumato.element import Registry
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import nn

ADAPTER_FORMATS: Registry[Callable[..., Written]] = Registry("format of adapters", ordered=True)
"""(changes, networks, the file's name) -> tensors and header."""
ADAPTER_FORMATS.add("diffusers", diffusers)
ADAPTER_FORMATS.add("kohya", kohya)
ADAPTER_FORMATS.add("lycoris", lycoris)
STALE = ("format", CONFIG, PEFTS, "sshs_model_hash", "sshs_legacy_hash")
"""Texts of a header that would not be true of another file."""


def converted(found: Contents, networks: Mapping[str, nn.Module], to: str, name: str) -> Contents:
    """What a file of the format `to` holds for the same changes of networks (which may be without numbers) as the file
    called `name`: tensors keep their number types and, but for layers that are fused in one of the formats, and cores
    where a format has none, their bits; texts of the header stay.

    Raises BadInput where the file fits other networks, and for what the format has no place for.
    """
    if any(key.startswith(BEGINS) for key in found.tensors):
        raise BadInput(f"{name} is an image prompt too (IP-Adapter FaceID), which no format of LoRAs holds.")
    write = ADAPTER_FORMATS[to]
    own = changes(found, networks, name)
    check_fit(networks, own, name)
    tensors, header = write(own, networks, name)
    words = word_keys(found)
    if words and to == "diffusers":
        raise BadInput(
            f"{name} brings the word {printable(repr(next(iter(words.values()))), 60)}, for which diffusers' files of "
            "LoRAs have no place: write it --to kohya."
        )
    for key, word in words.items():
        tensors[key if key.startswith("bundle_emb.") else f"bundle_emb.{word}.string_to_param.*"] = found.tensors[key]
    kept = {key: text for key, text in found.header.items() if key not in (*STALE, *networks) and text != "<embed>"}
    if kept.get("ss_network_module") == header.get("ss_network_module"):
        header |= {key: kept[key] for key in header if key in kept}
    return Contents(tensors, {**kept, **header})
