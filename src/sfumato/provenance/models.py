"""Which models are here, and what their folders hold. No torch: only JSON and the headers of safetensors."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sfumato.formats import capabilities_of, parts_of
from sfumato.formats.folder import place_of, regular
from sfumato.picture import BadInput
from sfumato.picture.errors import name_of, printable
from sfumato.recipe.capabilities import WORDS, Capabilities
from sfumato.zoo import INDEX, ZOO, built_ins

_LONGEST_HEADER = 100 << 20


@dataclass(frozen=True)
class ModelReport:
    """A model's folder: its parts, each with its class, number of parameters, bytes and number types; and what the
    model can be told."""

    name: str
    path: str
    origin: str
    summary: str = ""
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    vocabulary: Capabilities = WORDS
    refused: str = ""  # why the model can't be run, if it can't

    @property
    def parameters(self) -> int:
        """Of all parts together."""
        return sum(part["parameters"] for part in self.parts.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"parameters": self.parameters}

    def line(self) -> str:
        """One line for a list of models."""
        about = f"  {self.summary}" if self.summary else ""
        size = f"{self.parameters / 1e6:.1f} M parameters"
        does = "can't be run here" if self.refused else f"takes {self.vocabulary.told()}"
        return f"{self.name}  {size}, {self.origin}, {does}{about}"

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
        if self.vocabulary.classes:
            none = "" if self.vocabulary.none is None else ", or none"
            lines.append(f"  {len(self.vocabulary.classes)} classes{none}: {', '.join(self.vocabulary.classes)}")
        return "\n".join(lines)


def known_models() -> list[ModelReport]:
    """Built-in models, then models in the Hub's local cache; nothing is fetched. Damaged folders are left out."""
    reports = []
    for name in built_ins():
        reports.append(_reported(ZOO / name, name, "built in"))
    for folder in sorted(_hub_cache().glob("models--*--*")):
        index = max(folder.glob(f"snapshots/*/{INDEX}"), key=lambda path: path.stat().st_mtime, default=None)
        if index is not None:
            reports.append(_reported(index.parent, folder.name[len("models--") :].replace("--", "/"), "from the Hub"))
    return [report for report in reports if report is not None]


def inspect_model(folder: str | os.PathLike[str]) -> ModelReport:
    """What the folder of a model holds; `BadInput` if it has no model_index.json or a part of it can't be read."""
    folder = Path(folder)
    if not (folder / INDEX).is_file():
        raise BadInput(f"{name_of(folder)} is no model: it has no {INDEX}, as folders in diffusers' format do")
    parts = {name: _part(place_of(folder, name), kind) for name, kind in parts_of(folder).items()}
    try:
        told, refused = capabilities_of(folder), ""
    except BadInput as error:
        told, refused = Capabilities(), str(error)
    return ModelReport(folder.resolve().name, str(folder), "a folder", _summary(folder), parts, told, refused)


def _reported(folder: Path, name: str, origin: str) -> ModelReport | None:
    try:
        report = inspect_model(folder)
    except Exception:  # whatever is wrong with one model, the others are listed
        return None
    return replace(report, name=name, path=str(folder), origin=origin)


def _hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _part(folder: Path, kind: str) -> dict[str, Any]:
    variants = sorted(folder.glob("*.safetensors"))
    plain = [path for path in variants if ".fp16." not in path.name] or variants
    tensors = [tensor for path in plain for tensor in _tensors(path)]
    return {
        "class": kind,
        "parameters": sum(count for count, _, _ in tensors),
        "bytes": sum(size for _, size, _ in tensors),
        "types": sorted({dtype for _, _, dtype in tensors}),
    }


def _tensors(path: Path) -> list[tuple[int, int, str]]:
    """(elements, bytes, number type) of each tensor, from the header of a safetensors file: eight bytes of length,
    then JSON. The header is checked against the size of the file."""
    try:
        regular(path)
        whole = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(_LONGEST_HEADER, whole - 8):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        tensors, last = [], 0
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = map(int, entry["data_offsets"])
                tensors.append((math.prod(map(int, entry["shape"])), end - start, str(entry["dtype"])))
                last = max(last, end)
        if 8 + length + last != whole:
            raise ValueError("it is cut short or has been added to")
        return tensors
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{name_of(path)} is damaged ({printable(error, 120)}): copy or fetch it again") from None


def _summary(folder: Path) -> str:
    """The first sentence of the model card: the first line of its README that is text."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")[:20_000]
    except OSError:
        return ""
    if text.startswith("---"):
        text = text.partition("\n---")[2]
    lines = (line.strip() for line in text.splitlines())
    prose = (line for line in lines if line and line[0] not in "#-|!<>`*[")
    return printable(next(prose, ""), 160)
