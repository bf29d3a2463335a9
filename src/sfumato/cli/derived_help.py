"""Help texts that name what registries hold, read when help is asked for: `--help` of other commands loads nothing.

A help text says `{package.module:REGISTRY}` where the names of that registry are to stand:

    typer.Option(help="One of {sfumato.evaluate.metric:METRICS}.")
    app.command(cls=DerivedHelp)(command)
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from typer.core import TyperCommand

NAMES = re.compile(r"\{([a-z_][\w.]*):([A-Z_]\w*)\}")


def filled(text: str) -> str:
    """`text` with each `{package.module:REGISTRY}` replaced by the names that the registry holds."""

    def names(found: re.Match[str]) -> str:
        return ", ".join(getattr(import_module(found[1]), found[2]))

    return NAMES.sub(names, text)


class DerivedHelp(TyperCommand):
    """A command whose help texts are filled from registries before they are shown."""

    def format_help(self, *args: Any, **options: Any) -> None:
        for parameter in self.params:
            if text := getattr(parameter, "help", None):
                parameter.help = filled(text)  # type: ignore[attr-defined]
        super().format_help(*args, **options)
