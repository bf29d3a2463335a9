"""Which models are here, and what their folders hold. No torch: only JSON and the headers of weights."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sfumato.formats import capabilities_of, parts_of
from sfumato.formats.folder import place_of
from sfumato.formats.single_file import described, single_of
from sfumato.formats.weights import weight_files
from sfumato.picture import BadInput, path_of
from sfumato.picture.errors import name_of, printable
from sfumato.picture.paths import modified
from sfumato.provenance.memory import memory, told
from sfumato.provenance.report import walk_lines
from sfumato.provenance.tensors import tensors
from sfumato.recipe.capabilities import WORDS, Capabilities
from sfumato.zoo import INDEX, built_ins, place
from sfumato.zoo.borrowed import whole

_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class ModelReport:
    """A model's folder: its parts, each with its class, number of parameters, those of its largest layer, bytes and
    number types; and what the model can be told. `error` says why the folder of a known model can't be read."""

    name: str
    path: str
    origin: str
    summary: str = ""
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    vocabulary: Capabilities = WORDS
    error: str = ""
    refused: str = ""  # why the model can't be run, if it can't
    memory: dict[str, dict[str, int]] = field(default_factory=dict)  # bytes at the peak, by precision and offload

    @property
    def parameters(self) -> int:
        """Of all parts together."""
        return sum(part["parameters"] for part in self.parts.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"parameters": self.parameters}

    def line(self) -> str:
        """One line for a list of models."""
        if self.error:
            return printable(f"{self.name}  {self.origin}, can't be read: {self.error}", 1000)
        about = f"  {self.summary}" if self.summary else ""
        size = f"{self.parameters / 1e6:.1f} M parameters"
        does = "can't be run here" if self.refused else f"takes {self.vocabulary.told()}"
        return printable(f"{self.name}  {size}, {self.origin}, {does}{about}", 1000)

    def text(self) -> str:
        """For people: a line a part."""
        lines = [f"{self.name}: {self.parameters / 1e6:.1f} M parameters ({self.path})"]
        if self.summary:
            lines.append(self.summary)
        for name, part in self.parts.items():
            about = part["class"]
            if part["parameters"]:
                mebibytes = part["bytes"] / 2**20
                about += (
                    f", {part['parameters'] / 1e6:.2f} M parameters, {', '.join(part['types'])}, {mebibytes:.1f} MiB"
                )
            lines.append(f"  {name}: {about}")
        if self.refused:
            lines.append(self.refused)
        elif needs := told(self.memory):
            lines.append(needs)
        if not self.refused:
            lines += [f"  by default {line}" for line in walk_lines(self.vocabulary.suits)]
        if self.vocabulary.classes:
            none = "" if self.vocabulary.none is None else ", or none"
            lines.append(f"  {len(self.vocabulary.classes)} classes{none}: {', '.join(self.vocabulary.classes)}")
        if self.vocabulary.palette:
            colours = (f"{name} #{r:02x}{g:02x}{b:02x}" for name, (r, g, b) in self.vocabulary.palette)
            lines.append(f"  the colours of its layouts: {', '.join(colours)}")
        return "\n".join(printable(line, 20_000) for line in lines)


def known_models() -> list[ModelReport]:
    """Built-in models, then models in the Hub's local cache; nothing is fetched. One that can't be read says why."""
    from huggingface_hub.constants import HF_HUB_CACHE

    reports = [_reported(whole(place(name)), name, "built in") for name in built_ins()]
    for folder in sorted(Path(HF_HUB_CACHE).glob("models--*--*")):
        index = max(
            (path for path in folder.glob(f"snapshots/*/{INDEX}") if path.is_file()), key=modified, default=None
        )
        if index is not None:
            reports.append(_reported(index.parent, folder.name[len("models--") :].replace("--", "/"), "from the Hub"))
    return reports


def inspect_model(folder: str | os.PathLike[str]) -> ModelReport:
    """What the folder of a model holds; `BadInput` if it has no model_index.json or a part of it can't be read."""
    single = single_of(Path(folder))
    folder = path_of(folder)
    if not (folder / INDEX).is_file():
        raise BadInput(f"{name_of(folder)} is no model: it has no {INDEX}, as folders in diffusers' format do")
    kinds = parts_of(folder)
    for name in kinds:
        if not _NAME.fullmatch(name):
            raise BadInput(
                f"{name_of(folder / INDEX)} calls a part {printable(repr(name), 60)}: that is no folder's name"
            )
    parts = {name: _part(place_of(folder, name), kind) for name, kind in kinds.items()}
    can, refused = Capabilities(), ""
    parts |= {} if single is None else described(single)
    try:
        can = capabilities_of(folder)
    except BadInput as error:
        refused = str(error)
    needs = memory(folder, parts)
    if single is not None:
        lacking = [part for part in kinds if not single.has(part) and not (folder / part).exists()]
        refused = refused or (str(single.lacks(lacking[0])) if lacking else "")
        left = f"; {single.averaged} averaged tensors are left out" if single.averaged else ""
        about = f"{single.family.title}{left}"
        return ModelReport(
            single.path.name, str(single.path), "a file", about, parts, can, refused=refused, memory=needs
        )
    name = folder.resolve().name
    return ModelReport(name, str(folder), "a folder", _summary(folder), parts, can, refused=refused, memory=needs)


def _reported(folder: Path, name: str, origin: str) -> ModelReport:
    try:
        report = inspect_model(folder)
    except Exception as error:  # one bad model in the cache hides no other
        return ModelReport(name, str(folder), origin, error=printable(error))
    return replace(report, name=name, path=str(folder), origin=origin)


def _part(folder: Path, kind: str) -> dict[str, Any]:
    found = [tensor for path in weight_files(folder) for tensor in tensors(path)]
    return {
        "class": kind,
        "parameters": sum(tensor.elements for tensor in found),
        "largest": max((tensor.elements for tensor in found), default=0),
        "bytes": sum(tensor.bytes for tensor in found),
        "types": sorted({tensor.type for tensor in found}),
    }


def _summary(folder: Path) -> str:
    """The first sentence of the model card, of its README's first lines that are text; of a link its words alone."""
    card = folder / "README.md"
    try:
        if not card.is_file():
            return ""
        with card.open(encoding="utf-8", errors="replace") as file:
            text = file.read(20_000)
    except OSError:
        return ""
    if text.startswith("---"):
        text = text.partition("\n---")[2]
    lines = ("" if re.match(r"[-#|!<>`*]|\[!", line) else line for line in map(str.strip, text.splitlines()))
    paragraphs = "\n".join(lines).split("\n\n")
    prose = next((" ".join(each.split()) for each in paragraphs if each.strip()), "")
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", prose)
    return printable(re.split(r"(?<=\.)\s+(?=[A-Z])", words)[0], 160)
