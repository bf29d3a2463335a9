"""Help texts that name what registries hold, read when help is asked for: `--help` of other commands loads nothing.

A help text says `{package.module:NAME}` where the names of a registry are to stand, those of the elements of a kind,
those that a function answers, or the name of an element that is a default:

    typer.Option(help="One of {sfumato.sample:Sampler}, by default {sfumato.sample:DEFAULT_SAMPLER}.")
    app.command(cls=DerivedHelp)(command)
"""

from __future__ import annotations

import re
from importlib import import_module
from inspect import isfunction
from typing import Any

from typer.core import TyperCommand

NAMES = re.compile(r"\{([a-z_][\w.]*):([A-Za-z_]\w*)\}")


def with_names(text: str) -> str:
    """`text` with each `{package.module:NAME}` replaced by the names that are there."""

    def names(found: re.Match[str]) -> str:
        named = getattr(import_module(found[1]), found[2])
        if isfunction(named):
            return ", ".join(named())
        registry = getattr(named, "registry", named)
        if registry is not named and not isinstance(named, type):
            return registry.short(registry.name(named))
        return ", ".join(registry.short(name) if hasattr(registry, "short") else name for name in registry)

    return NAMES.sub(names, text)


class DerivedHelp(TyperCommand):
    """A command whose help texts are filled from registries before they are shown, its paragraphs without the line
    breaks that they have in the source."""

    def format_help(self, *args: Any, **options: Any) -> None:
        self.help = "\n\n".join(" ".join(part.split()) for part in (self.help or "").split("\n\n"))
        written = {parameter: text for parameter in self.params if (text := getattr(parameter, "help", None))}
        try:
            for parameter, text in written.items():
                vars(parameter)["help"] = with_names(text)
            super().format_help(*args, **options)
        finally:
            for parameter, text in written.items():
                vars(parameter)["help"] = text
