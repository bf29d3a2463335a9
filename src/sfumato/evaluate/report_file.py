"""What every evaluation ends with: a table or JSON on stdout, and the file that it leaves in the folder it is told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.picture import BadInput
from sfumato.picture.files import write_atomically

if TYPE_CHECKING:
    from rich.table import Table


def write_report(out: Path, told: Mapping[str, Any]) -> None:
    """Writes `told` as report.json into the folder `out`, which is made. Raises BadInput where it can't be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"the report can't be written to {out} ({error.strerror}): choose another folder") from error
    write_atomically(out / "report.json", (json.dumps(_finite(told), indent=1) + "\n").encode())


def _finite(value: Any) -> Any:
    """The same with nothing where a number is none, which JSON has no word for."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def printed(told: dict[str, Any], table: Callable[[], Table], as_json: bool) -> dict[str, Any]:
    """Prints the report, as JSON or as the table of it, and gives it back."""
    if as_json:
        print(json.dumps(_finite(told), indent=1))
    else:
        from rich.console import Console

        Console().print(table())
    return told
