"""What a file of an adapter holds: of which kind it is, what it changes, by what name it is called."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sfumato.adapt import Adapter, open_file
from sfumato.adapt.families import FAMILIES
from sfumato.adapt.file import PICKLED, SAFE
from sfumato.adapt.layers import layers_in, tensors_by_layer
from sfumato.adapt.origin import of_file
from sfumato.adapt.read import contents, with_config
from sfumato.adapt.recognise import kind_of
from sfumato.adapt.textual_inversion import KNOWN
from sfumato.picture.errors import printable

PHRASES = ("modelspec.trigger_phrase", "sfumato.subject", "ss_output_name")
"""Texts of a header that may say what prompts call what was taught, the surest first."""
MOST = 24  # texts of a header that are shown
LARGE = 2**30  # bytes of a pickle, which has to be read whole: larger ones are models


@dataclass(frozen=True)
class AdapterReport:
    """A file of an adapter. families: the layers of each family of changes. ranks: the layers of each rank. made_for:
    the family of models, "" where it can't be told. called: what prompts call what was taught. header: its texts."""

    path: str
    kind: str
    layers: int
    numbers: int
    bytes: int
    made_for: str = ""
    called: str = ""
    families: dict[str, int] = field(default_factory=dict)
    ranks: dict[int, int] = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        """As `sfumato inspect` prints it."""
        made = f" for {self.made_for}" if self.made_for else ""
        of = f" in {self.layers} layers" if self.layers else ""
        size = f"{self.bytes / 2**20:.2f} MiB" if self.bytes >= 2**20 else f"{self.bytes / 2**10:.1f} KiB"
        lines = [f"{self.path}: {self.kind}{made}, {self.numbers:,} numbers{of}, {size}"]
        if self.families:
            lines.append("changes: " + ", ".join(f"{name} in {count} layers" for name, count in self.families.items()))
        if self.ranks:
            lines.append("rank: " + ", ".join(f"{rank} in {count} layers" for rank, count in self.ranks.items()))
        if self.called:
            lines.append(f"called: {self.called}")
        shown = list(self.header.items())[:MOST]
        lines += [f"{printable(key, 60)}: {printable(value, 100)}" for key, value in shown]
        if len(self.header) > len(shown):
            lines.append(f"and {len(self.header) - len(shown)} more texts")
        return "\n".join(lines)


def is_adapter(path: Path, *, allow_pickle: bool = False) -> bool:
    """Whether a file is an adapter, by the names of what is in it. Of a pickle this is only known where pickles are
    allowed."""
    if not path.is_file() or path.suffix.lower() not in (SAFE, *PICKLED):
        return False
    if path.suffix.lower() == SAFE:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                keys = list(file.keys())
        except (SafetensorError, OSError):
            return False
        return any(made.holds(keys, None) for made in Adapter.registry.classes.values())
    small = path.stat().st_size < LARGE
    return allow_pickle and small and bool(kind_of(contents(open_file(path, allow_pickle=True))))


def inspect_adapter(path: Path, *, allow_pickle: bool = False) -> AdapterReport:
    """What the file of an adapter holds. Raises BadInput where it can't be read."""
    file = open_file(path, allow_pickle=allow_pickle)
    found = with_config(contents(file), file)
    families: Counter[str] = Counter()
    ranks: Counter[int] = Counter()
    for tensors in tensors_by_layer(found).values():
        if name := next((name for name, each in FAMILIES.items() if each.holds(tensors)), ""):
            families[f"{name} (DoRA)" if "magnitude" in tensors else name] += 1
            if rank := FAMILIES[name].rank(tensors):
                ranks[rank] += 1
    texts = {key: value for key, value in found.header.items() if value and value != "<embed>"}
    header = {key: value for key, value in texts.items() if not re.search(r":\d+:rank$", key)}  # cloneofsimo's
    words = [key for key in found.tensors if key not in KNOWN] if kind_of(found) == "embedding" else []
    return AdapterReport(
        str(path),
        kind_of(found),
        len(layers_in(found.tensors)),
        sum(each.numel() for each in found.tensors.values()),
        path.stat().st_size,
        of_file(found.tensors),
        printable(next((header[key] for key in PHRASES if key in header), ", ".join(words)), 100),
        dict(families.most_common()),
        dict(sorted(ranks.items())),
        header,
    )
