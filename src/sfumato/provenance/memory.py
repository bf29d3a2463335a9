"""How much memory a model will take, told before anything is loaded: from the headers of its weights and its configs.

Weights are exact, but for float8, which leaves norms and embeddings as they are: parameters times bytes. What a network
keeps while it computes (activations) is a rough estimate from its widths, for one guided picture of the model's own
size. torch and the libraries around it take their half GiB besides. `benchmarks/memory.py` measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfumato.formats.folder import place_of, read_json
from sfumato.picture import BadInput

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 1}
"""Of a weight that is stored in this precision."""
COMPUTED = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 2}
_UNREAD = ("safety_checker", "feature_extractor")
ROWS = 2  # of a guided picture: with the words and without


def memory(folder: Path, parts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Bytes at the peak of a run by precision: {"float32": {"none": ..., "parts": ..., "layers": ...}, ...}, of which
    "none" holds all networks at once, "parts" the one that computes and "layers" the layer that does
    (`sfumato.network.offload`).

    parts: as a `ModelReport` has them, with their class and number of parameters. Empty for a model without weights.
    """
    networks = {name: part for name, part in parts.items() if part["parameters"] and name not in _UNREAD}
    configs = {name: _config(folder, name) for name in networks}
    cell = _cell(configs)
    needs: dict[str, dict[str, int]] = {}
    for precision in BYTES if networks else ():
        weights = {
            n: p["bytes"] if _in_blocks(p) else weight_bytes(p["class"], p["parameters"], precision, configs[n])
            for n, p in networks.items()
        }
        live = {
            name: activations(part["class"], configs[name], _side(configs), cell) * COMPUTED[precision]
            for name, part in networks.items()
        }
        needs[precision] = {
            "none": sum(weights.values()) + max(live.values()),
            "parts": max(weights[name] + live[name] for name in networks),
            "layers": max(
                round(weights[name] * part["largest"] / part["parameters"]) + live[name]
                for name, part in networks.items()
            ),
        }
    return needs


def _in_blocks(part: Mapping[str, Any]) -> bool:
    """Whether its weights stay as they are stored, in blocks of a few bits, whatever the precision."""
    return any(str(kind).lstrip("IT").startswith("Q") for kind in part.get("types", ()))


def weight_bytes(kind: str, parameters: int, precision: str, config: Mapping[str, Any]) -> int:
    """Of a network's weights; an autoencoder's are not stored in float8, nor in float16 if it overflows."""
    if kind.startswith("Autoencoder"):
        overflows = precision == "float16" and config.get("force_upcast") is True
        return parameters * (4 if overflows else COMPUTED[precision])
    return parameters * BYTES[precision]


def activations(kind: str, config: Mapping[str, Any], side: int, cell: int) -> int:
    """About how many numbers a network of this class holds at once, for a picture of side x side pixels.

    What is largest is counted: in a U-Net the maps of its first level, of which the feed-forward layers hold eight and
    the skip connections some more; in an autoencoder the last of its decoder's maps, as large as the picture; in a
    transformer the feed-forward layers of all tokens. Text encoders hold next to nothing.
    """
    widths = config.get("block_out_channels") or []
    if kind.startswith("Autoencoder"):
        wide = int(widths[min(1, len(widths) - 1)]) if widths else int(config.get("base_dim") or 96)
        return DECODER_MAPS * wide * side**2
    if "UNet" in kind and widths:
        return UNET_MAPS * ROWS * int(widths[0]) * (side // cell) ** 2
    if "Transformer" in kind:
        wide = int(config.get("num_attention_heads") or 1) * int(config.get("attention_head_dim") or 64)
        patch = int(config.get("patch_size") or 1) * (2 if config.get("patch_size") == 1 else 1)
        return TOKEN_MAPS * ROWS * wide * ((side // cell // patch) ** 2 + 512)
    return 0


DECODER_MAPS, UNET_MAPS, TOKEN_MAPS = 3, 18, 14
"""Maps of that width which are held at once: counted in the networks' code, not measured."""


def _config(folder: Path, name: str) -> dict[str, Any]:
    try:
        return read_json(place_of(folder, name) / "config.json")
    except BadInput:
        return {}


def _cell(configs: Mapping[str, Mapping[str, Any]]) -> int:
    """Pixels along the side of a latent."""
    widths = configs.get("vae", {}).get("block_out_channels") or []
    return 2 ** (len(widths) - 1) if widths else 8 if "vae" in configs else 1


def _side(configs: Mapping[str, Mapping[str, Any]]) -> int:
    """Pixels along the side of the model's own size."""
    sample = configs.get("unet", configs.get("transformer", {})).get("sample_size")
    cells = max(sample) if isinstance(sample, list) and sample else sample
    return min(4096, cells * _cell(configs)) if isinstance(cells, int) and cells > 0 else 1024


def told(needs: Mapping[str, Mapping[str, int]]) -> str:
    """One line for people; empty where nothing is known."""
    said = [
        f"{name} {_size(each['none'])} ({_size(each['parts'])} with --offload parts, {_size(each['layers'])} layers)"
        for name, each in needs.items()
    ]
    return f"  memory for one picture, about: {', '.join(said)}" if said else ""


def _size(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
