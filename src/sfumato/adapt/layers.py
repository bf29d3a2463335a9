"""From a file's keys to the layers that they change: which tool wrote them is seen from how they end and begin."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfumato.adapt.families import FAMILIES, Family, Tensors
from sfumato.adapt.names import Names, Piece, cloneofsimo, flat, names_of
from sfumato.adapt.names.face_id import of_faces
from sfumato.adapt.origin import check_origin
from sfumato.adapt.read import PEFTS, Contents
from sfumato.network.spec import PAINTERS
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

SHOWN = 4  # keys in one sentence
PREFIXES = (
    ("unet.", PAINTERS), ("transformer.", PAINTERS),
    ("diffusion_model.", PAINTERS), ("model.diffusion_model.", PAINTERS),
    ("lora_unet_", PAINTERS), ("lora_transformer_", PAINTERS),
    ("text_encoder.", ("text_encoder",)), ("text_encoder_2.", ("text_encoder_2",)),
    ("text_encoder_3.", ("text_encoder_3",)),
    ("text_encoders.clip_l.transformer.", ("text_encoder",)),
    ("text_encoders.clip_g.transformer.", ("text_encoder_2",)),
    ("lora_te_", ("text_encoder",)), ("lora_te1_", ("text_encoder",)), ("lora_te2_", ("text_encoder_2",)),
    ("lora_te3_", ("text_encoder_3", "text_encoder_2")),
)  # fmt: skip
"""How keys begin, and the parts of a model that they then speak of, beside each part's own name; without any,
whichever has such a layer."""
COMMON = {
    r"\.alpha": "alpha",
    r"\.dora_scale": "magnitude",
    r"\.lora_magnitude_vector(?:\.\w+)*": "magnitude of outputs",
}
_NUMBERED = re.compile(r"(\w+):(\d+):(up|down)")


@dataclass(frozen=True, eq=False)
class Change:
    """What a file says of one layer of `part`, or of several that are one there: the `pieces`, one below the other.

    found: all of the file, for sentences about it.
    """

    part: str
    pieces: tuple[Piece, ...]
    family: Family
    tensors: Tensors
    found: Contents


def changes(found: Contents, networks: Mapping[str, nn.Module], name: str) -> list[Change]:
    """The changes that the file called `name` makes to networks; every key of it is used.

    Raises BadInput, naming them, for keys that fit no layer and for layers that are there by half; and for a file of
    another architecture, which it names.
    """
    found = of_faces(found, networks)
    numbered = {key: parts for key in found.tensors if (parts := _NUMBERED.fullmatch(key))}
    words = set(word_keys(found))
    grouped, strange = _grouped(key for key in found.tensors if key not in numbered and key not in words)
    layers: list[Change] = []
    names = {part: names_of(network) for part, network in networks.items()}
    for stem, keys in grouped.items():
        tensors = _tensors(found, keys)
        family = next((each for each in FAMILIES.values() if each.holds(tensors)), None)
        part, pieces = _place(stem, names)
        if family is None or not pieces:
            strange += keys.values()
            continue
        if not family.complete(tensors):
            raise BadInput(f"{name} says only half of {printable(stem, 100)}: it has only {_some(keys)}.")
        layers.append(Change(part, pieces, family, _with_alpha(tensors, family, found.header, stem, part), found))
    layers += _numbered(found, numbered, networks, name)
    if strange:
        check_origin(found.tensors, networks, name)
        raise BadInput(f"{name} has {len(strange)} keys that fit no layer of this model: {_some(strange)}.")
    if not layers and not words:
        raise BadInput(f"{name} changes nothing: it holds no weights of an adapter.")
    return layers


def layers_in(keys: Iterable[str]) -> set[str]:
    """The layers that a file's keys speak of, as it calls them; none for a file that is no adapter of weights."""
    keys = list(keys)
    numbered = {f"{match[1]}:{match[2]}" for key in keys if (match := _NUMBERED.fullmatch(key))}
    return numbered | _grouped(keys)[0].keys()


def tensors_by_layer(found: Contents) -> dict[str, dict[str, Tensor]]:
    """What a file says of each layer, as it calls them."""
    return {stem: _tensors(found, keys) for stem, keys in _grouped(found.tensors)[0].items()}


def word_keys(found: Contents) -> dict[str, str]:
    """The keys of embeddings of words that are kept in a file of weights, and the words."""
    bundled = {key: key.split(".")[1] for key in found.tensors if key.startswith("bundle_emb.") and key.count(".") >= 2}
    return {key: key for key, value in found.header.items() if value == "<embed>" and key in found.tensors} | bundled


def _grouped(keys: Iterable[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The keys of each layer by the names of their tensors, and those that end as none does."""
    keys = list(keys)
    scales = {key.removesuffix(".on_input") for key in keys if key.endswith(".on_input")}
    grouped: dict[str, dict[str, str]] = {}
    strange: list[str] = []
    for key in keys:
        for pattern, tensor in _ENDINGS:
            ending = pattern.search(key)
            if ending is None or (tensor == "vector" and key[: ending.start()] not in scales):
                continue
            stem = key[: ending.start()].removeprefix("base_model.model.").replace(".processor.", ".")
            grouped.setdefault(stem, {})[tensor] = key
            break
        else:
            strange.append(key)
    return grouped, strange


def _endings() -> list[tuple[re.Pattern[str], str]]:
    every = [*COMMON.items(), *(each for family in FAMILIES.values() for each in family.endings.items())]
    return sorted(((re.compile(f"{end}$"), name) for end, name in every), key=lambda each: each[1] == "vector")


def _tensors(found: Contents, keys: Mapping[str, str]) -> dict[str, Tensor]:
    tensors = {name: found.tensors[key] for name, key in keys.items()}
    if "magnitude of outputs" in tensors:
        tensors["magnitude"] = tensors.pop("magnitude of outputs").flatten()
    return tensors


def _place(stem: str, names: Mapping[str, Names]) -> tuple[str, tuple[Piece, ...]]:
    """Which part of the model a layer is in, and what it is there; ("", ()) where there is no such layer."""
    own = ((f"{part}.", (part,)) for part in names)
    prefix, parts = next(((begin, parts) for begin, parts in (*PREFIXES, *own) if stem.startswith(begin)), ("", ()))
    name = flat(stem.removeprefix(prefix).removeprefix("lycoris_"))
    for part in (part for part in (parts or names) if part in names):
        for spelled in (name, f"{name}_0"):  # old files have to_out for to_out.0
            if spelled in names[part]:
                return part, names[part][spelled]
    return "", ()


def _with_alpha(tensors: Tensors, family: Family, header: Mapping[str, str], stem: str, part: str) -> Tensors:
    """The tensors with the alpha that the header says in peft's words, if none stands beside them."""
    text, alone = header.get("lora_adapter_metadata"), header.get(PEFTS)
    if (text is None and alone is None) or "alpha" in tensors or not family.peft_kind:
        return tensors
    try:
        said = json.loads(text or str(alone))
        begin = f"{part}." if text else ""
        own = {key.removeprefix(begin): value for key, value in said.items() if key.startswith(begin)}
        alpha = _of_layer(own, "alpha", stem)
        rank = family.rank(tensors) or _of_layer(own, "rank", stem)
        if alpha is None or rank is None:
            return tensors
        factor = math.sqrt(rank) if own.get("use_rslora") else 1.0
        return family.from_peft(tensors, int(rank), float(alpha) * factor)
    except (ValueError, TypeError, AttributeError):
        return tensors


def _of_layer(said: Mapping[str, Any], what: str, stem: str) -> Any:
    """What a config of peft's says of a layer's "alpha" or "rank": the first pattern that its name ends with, else what
    it says of all."""
    patterns = said.get(f"{what}_pattern") or {}
    of_all = {"alpha": ("lora_alpha", "alpha"), "rank": ("r",)}[what]
    fitting = (value for key, value in patterns.items() if f".{stem}".endswith(f".{key.lstrip('^')}"))
    return next(fitting, next((said[name] for name in of_all if name in said), None))


def _numbered(
    found: Contents, keys: Mapping[str, re.Match[str]], networks: Mapping[str, nn.Module], name: str
) -> list[Change]:
    """The changes of cloneofsimo's files: layers by their number."""
    parts: dict[str, dict[int, dict[str, Tensor]]] = {}
    for key, match in keys.items():
        parts.setdefault(match[1], {}).setdefault(int(match[2]), {})[match[3]] = found.tensors[key]
    lora = FAMILIES["lora"]
    layers = []
    for part, each in parts.items():
        try:
            classes = json.loads(found.header[part])
            network = networks[part]
            orders = list(cloneofsimo.orders(network, [str(one) for one in classes]))
        except (KeyError, TypeError, ValueError):
            check_origin(found.tensors, networks, name)
            raise BadInput(
                f"{name} numbers the layers of {printable(part, 60)}, which this model can't be sure of."
            ) from None
        fitting = next((order for order in orders if _fits(each, order, network)), None)
        if fitting is None:
            check_origin(found.tensors, networks, name)
            raise BadInput(f"{name} numbers layers of the {part}, and their shapes are not those of this model.")
        layers += [Change(part, (Piece(fitting[i]),), lora, tensors, found) for i, tensors in sorted(each.items())]
    return layers


def _fits(numbered: Mapping[int, Tensors], order: list[str], network: nn.Module) -> bool:
    def fits(i: int, tensors: Tensors) -> bool:
        weight = network.get_submodule(order[i]).weight
        return {"up", "down"} <= tensors.keys() and weight.shape[:2] == (len(tensors["up"]), tensors["down"].shape[1])  # type: ignore[union-attr,index]

    return len(order) == len(numbered) and all(i < len(order) and fits(i, each) for i, each in numbered.items())


def _some(keys: Iterable[str]) -> str:
    keys = sorted(keys.values() if isinstance(keys, dict) else keys)
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return printable(", ".join(keys[:SHOWN]), 300) + more


_ENDINGS = _endings()
