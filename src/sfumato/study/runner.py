"""The parts of a run: what is kept is not done again, and after each cell nothing is lost."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sfumato.element import nearest
from sfumato.picture import BadInput
from sfumato.study.cell_cache import CellCache, Results
from sfumato.study.study import Cell, Model, Study, Tick


def changed(chosen: Any, settings: Sequence[str]) -> Any:
    """Settings with "key=value" put in, each value read as YAML; their class checks them."""
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in vars(chosen):
            raise BadInput(
                f"--set {setting!r} is no setting of this study{nearest(key, vars(chosen))}: give KEY=VALUE, "
                f"with a key of {', '.join(vars(chosen)) or 'none, for it has none'}"
            )
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError:
            raise BadInput(f"--set {setting!r} can't be read: give a number, a word or a list as [1, 2]") from None
        chosen = replace(chosen, **{key: tuple(read) if isinstance(read, list) else read})
    return chosen


def model_of(name: str, study: Study, model: str | None) -> Model | None:
    """The model that a study is to look at; None for a study that looks at none. Raises BadInput for one too many."""
    if study.takes is None:
        if model is not None:
            raise BadInput(f"the study {name} looks at no model: leave --model out")
        return None
    wanted = model or study.model
    return None if wanted is None else study.takes(wanted)


def work(name: str, cells: Sequence[Cell], folder: Path, progress: bool = True) -> Results:
    """The results of all cells by name: kept ones are left, others done and kept at once."""
    results = Results(CellCache(folder / "cells", name))
    with _bars(name, len(cells), progress) as (begin, tick, advance):
        try:
            for cell in cells:
                if not results.has(cell):
                    begin(cell.name)
                    began = time.perf_counter()
                    found = cell.work(tick, *(results[need] for need in cell.needs), **cell.arguments)
                    results.add(cell, {"seconds": time.perf_counter() - began, **found})
                advance()
        except KeyboardInterrupt:
            done = f"{len(results)} of {len(cells)} cells are kept in {results.cache.folder}"
            print(f"sfumato: {done}; the same command goes on from there", file=sys.stderr)
            raise
    return results


@contextmanager
def _bars(name: str, total: int, shown: bool) -> Iterator[tuple[Any, Tick, Any]]:
    """Two bars on stderr: the study's cells, and the steps of the cell at hand."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bars:
        whole = bars.add_task(name, total=total)
        one = bars.add_task("", total=1, visible=False)

        def begin(cell: str) -> None:
            bars.reset(one, total=1, description=f"  {cell}", visible=True)

        def tick(done: int, of: int) -> None:
            bars.update(one, completed=done, total=of)

        yield begin, tick, lambda: bars.advance(whole)
