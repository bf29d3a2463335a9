"""The command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with `arguments` (by default the process's own) and leave with its exit status."""
    try:
        from sfumato.cli.app import run_command

        status = run_command(arguments)
    except KeyboardInterrupt:
        print("sfumato: interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
