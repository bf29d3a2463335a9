"""Files that a prompt names, as A1111's web page and ComfyUI write them, become adapters of the recipe.

| written | becomes |
|---|---|
| `<lora:name>`, `<lora:name:0.8>`, `<lyco:...>` | `LoRA * 0.8`, of ./loras, $SFUMATO_LORAS or the user's loras |
| `<lora:name:0.8:0.5>`, `<lora:name:te=0.8:unet=0.5>` | the same, 0.8 in the text encoders and 0.5 in what denoises |
| `<hypernet:name:0.8>` | `Hypernetwork * 0.8`, of the folders hypernetworks |
| `embedding:name` | `Embedding`, of the folders embeddings; the word in its place calls it |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sfumato.adapt import Adapter, Embedding, Hypernetwork, LoRA
from sfumato.adapt.file import named
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt.foreign import EMBEDDING, NETWORK

LORAS = ("lora", "lyco", "locon", "loha", "lokr")


def asked_in(
    prompt: str, negative: str = "", places: Sequence[Path] = (), *, allow_pickle: bool = False
) -> tuple[str, str, list[Adapter]]:
    """The prompts without what names files, and the adapters of those. Words may be named in both, weights in the first
    alone. Raises BadInput for a file that is not there, and for what is written otherwise.

    places: files and folders that are looked at before the usual ones.
    """
    found: list[Adapter] = []

    def network(match: re.Match[str]) -> str:
        found.append(_network(match[0], places, allow_pickle))
        return ""

    def embedding(match: re.Match[str]) -> str:
        file = named(match[1], "embeddings", places, allow_pickle=allow_pickle)
        if (each := Embedding(file, file.stem)) not in found:
            found.append(each)
        return file.stem

    without = NETWORK.sub(network, prompt)
    if found:
        without = without.strip()
    return EMBEDDING.sub(embedding, without), EMBEDDING.sub(embedding, negative), found


def _network(tag: str, places: Sequence[Path], allow_pickle: bool) -> Adapter:
    kind, name, *said = (part.strip() for part in tag.strip("<> ").split(":"))
    kind = kind.lower()
    if kind not in (*LORAS, "hypernet"):
        raise BadInput(
            f"The prompt's {printable(repr(tag), 60)} is unknown: accepted are <lora:name:0.8> and "
            "<hypernet:name:0.8>; to say it in words, escape its colons, \\:."
        )
    kinds = "hypernetworks" if kind == "hypernet" else "loras"
    values: dict[str, float] = {}
    for place, text in zip(("te", "unet", "dyn"), said, strict=False):
        key, equals, number = text.rpartition("=")
        key = key.strip().lower() if equals else place
        try:
            values[key] = float(number)
        except ValueError:
            key = ""
        if key not in ("te", "unet") or not abs(values[key]) <= 10:
            raise BadInput(
                f"The prompt's {printable(repr(tag), 60)} gives {printable(repr(text), 30)} as a weight: give a number "
                "from -10 to 10, or te=NUMBER and unet=NUMBER."
            )
    file = named(name, kinds, places, allow_pickle=allow_pickle)
    text = values.get("te", 1.0)
    unet = values.get("unet", text)
    if kinds == "hypernetworks":
        return Hypernetwork(file, text)
    return LoRA(file, unet) if text == unet else LoRA(file, 1.0, {"text": text, "unet": unet})  # type: ignore[arg-type]
