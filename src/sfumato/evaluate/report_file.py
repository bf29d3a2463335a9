"""The file that every evaluation leaves in the folder that it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfumato.picture import BadInput
from sfumato.picture.files import write_atomically


def write_report(out: Path, told: Mapping[str, Any]) -> None:
    """Writes `told` as report.json into the folder `out`, which is made. Raises BadInput where it can't be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"the report can't be written to {out} ({error.strerror}): choose another folder") from error
    write_atomically(out / "report.json", (json.dumps(told, indent=1) + "\n").encode())
