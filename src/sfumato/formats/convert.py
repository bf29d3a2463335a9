"""A model's folder as one file, and a single file as a folder: the same tensors, to the bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.convert_control import convert_control, is_control
from sfumato.formats.folder import LARGEST, index_of, parts_of, place_of, read_json
from sfumato.formats.key_names import Naming, write_tensors
from sfumato.formats.own_suits import FILE
from sfumato.formats.read_network import STEMS, class_of, without_weights
from sfumato.formats.single_family import U_NET, naming_of
from sfumato.formats.single_file import SingleFile, single_of
from sfumato.formats.single_folder import METADATA, SMALL
from sfumato.formats.tensor_file import open_tensors
from sfumato.formats.text_names import clip_names, open_clip_names
from sfumato.formats.weights import weight_files
from sfumato.formats.write import write_json
from sfumato.network.writing import save_tensors
from sfumato.picture.atomic import beside
from sfumato.picture.errors import BadInput, name_of
from sfumato.zoo import INDEX
from sfumato.zoo.find import find

if TYPE_CHECKING:
    from torch import Tensor

BESIDE = ("safety_checker", "feature_extractor", "image_encoder", "text_encoder_3", "tokenizer_3")
"""Parts that no single file needs: they are left out where they have no place in one."""


def convert(source: str | Path, target: str | Path) -> Path:
    """Writes the model called `source` (a folder, a built-in model, a Hub id or a single file) to `target`: to one
    file, if that ends in .safetensors, else to a folder in diffusers' format.

    Tensors keep their number types and their bits. A file also keeps the configs and vocabularies of its folder, so
    that it is read with nothing beside it; other tools pass over them. Raises BadInput for a model of a family that
    has no single files, and for a target that is there already.
    """
    target, place = Path(target).expanduser(), Path(source).expanduser()
    if is_control(place):
        return convert_control(place, target)
    folder = find(source)
    if target.exists():
        raise BadInput(f"{name_of(target)} is there already: name a file or folder that is not.")
    single = single_of(folder)
    if target.suffix == ".safetensors":
        if single is not None:
            raise BadInput(f"{name_of(single.path)} is a single file already: name a folder to write it as one.")
        _to_file(folder, target)
    elif single is None:
        raise BadInput(f"{name_of(folder)} is a folder already: name a file that ends in .safetensors.")
    else:
        with beside(target) as part:
            _to_folder(single, part)
    return target


def _to_file(folder: Path, target: Path) -> None:
    kinds, written, left = parts_of(folder), {}, []
    for part, kind in kinds.items():
        where = place_of(folder, part)
        files = weight_files(where)
        if not files:
            continue
        config = read_json(where / "config.json")
        found = _place(part, kind, config, kinds)
        if found is None and part not in BESIDE:
            raise BadInput(f"{name_of(folder)} has a {part} ({kind}), for which single files have no names.")
        if found is None:
            left.append(part)
            continue
        state: dict[str, Tensor] = {}
        for file in files:
            opened = open_tensors(file, allow_pickle=True)
            state |= {name: opened[name] for name in opened.shapes if not name.endswith("position_ids")}
        written |= write_tensors(state, *found)
    index = {name: [None, None] if name in left else value for name, value in index_of(folder).items()}
    small = {INDEX: json.dumps(index, indent=2)}
    if (folder / FILE).is_file():
        small[FILE] = _text(folder / FILE)
    for path in sorted(folder.glob("*/*")):
        name = f"{path.parent.name}/{path.name}"
        if path.parent.name not in left and SMALL.fullmatch(name) and not name.endswith(".index.json"):
            small[name] = _text(path)
    save_tensors(written, target, {"format": "pt", METADATA: json.dumps(small)})


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{name_of(path)} is larger than {LARGEST >> 20} MiB: a file keeps no such text.")
    try:
        return path.read_text(encoding="utf-8")
    except ValueError:
        raise BadInput(f"{name_of(path)} is no text, and a single file keeps texts alone.") from None


def _place(part: str, kind: str, config: Mapping[str, Any], kinds: Mapping[str, str]) -> tuple[str, Naming] | None:
    """Where a network stands in a single file, as its makers' files have it."""
    if part in ("unet", "transformer", "vae"):
        naming = naming_of(kind, config)
        return None if naming is None else ("first_stage_model." if part == "vae" else U_NET, naming)
    naming = naming_of(kind, config)
    if not part.startswith("text_encoder") or naming is None:
        return None
    if "transformer" in kinds:
        name = "t5xxl" if kind.startswith("T5") else "clip_l" if part == "text_encoder" else "clip_g"
        return f"text_encoders.{name}.transformer.", naming
    if "text_encoder_2" not in kinds:
        theirs = config.get("hidden_act") == "gelu"
        return ("cond_stage_model.model.", open_clip_names) if theirs else ("cond_stage_model.transformer.", clip_names)
    if part == "text_encoder":
        return "conditioner.embedders.0.transformer.", clip_names
    return f"conditioner.embedders.{int('text_encoder' in kinds)}.model.", open_clip_names


def _to_folder(single: SingleFile, target: Path) -> None:
    if blocks := [placed.file.path for placed in single.family.placed.values() if placed.file.sizes]:
        raise BadInput(
            f"{name_of(blocks[0])} holds blocks of a few bits, which a folder has no files for: load it as it is."
        )
    for part, placed in single.family.placed.items():
        library, made = class_of(placed.kind)
        config = read_json(single.folder / part / "config.json")
        state = single.tensors(part, without_weights(made, config))
        if placed.kind == "CLIPTextModel":  # as every version of transformers reads it
            state = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in state.items()}
        state.pop("encoder.embed_tokens.weight", None)  # T5's second name of the same
        (target / part).mkdir(parents=True, exist_ok=True)
        kept = {name: tensor.clone() for name, tensor in state.items()}
        save_tensors(kept, target / part / f"{STEMS[library]}.safetensors")
        architectures = {"architectures": [placed.kind]} if library == "transformers" else {}
        write_json(target / part / "config.json", {**config, **architectures})
    for path in single.folder.iterdir():
        if path.is_symlink():  # a part of its base
            shutil.copytree(path.resolve(), target / path.name)
    for path in single.folder.rglob("*"):
        there = target / path.relative_to(single.folder)
        if path.is_file() and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)
