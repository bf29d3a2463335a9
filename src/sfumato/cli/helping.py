"""Help that names what the registries hold, looked up when it is shown and not when a command runs."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command in whose options' help {samplers}, {grids}, ... stand for the names that there are."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for param in self.params:
            if text := getattr(param, "help", None):
                param.help = filled(text)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def filled(text: str) -> str:
    """`text` with the names put in."""
    return re.sub(r"{(\w+)}", lambda found: _NAMES[found[1]]() if found[1] in _NAMES else found[0], text)


def _samplers() -> str:
    from sfumato.sample import Sampler

    return ", ".join(Sampler.registry)


def _default_sampler() -> str:
    from sfumato.sample import DEFAULT_SAMPLER, Sampler

    return Sampler.registry.name(DEFAULT_SAMPLER)


def _grids() -> str:
    from sfumato.times import TimeGrid

    return ", ".join(TimeGrid.registry)


def _default_grid() -> str:
    from sfumato.times import DEFAULT_GRID, TimeGrid

    return TimeGrid.registry.name(DEFAULT_GRID)


_NAMES = {
    "samplers": _samplers,
    "default_sampler": _default_sampler,
    "grids": _grids,
    "default_grid": _default_grid,
}
