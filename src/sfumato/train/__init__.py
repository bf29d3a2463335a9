"""Training: recipes in YAML, an exact loop, and the tasks that make a miniature."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def run(
    path: Path | str,
    *,
    out: Path | None = None,
    dry_run: bool = False,
    resume: bool = True,
    overrides: Iterable[str] = (),
) -> None:
    """Train what the recipe says, into the folder `out` (default `runs/<name>`).

    `path` is a YAML file or a shipped recipe's name; `overrides` are `optimizer.lr=1e-3`. A run that was stopped or
    killed goes on from its newest whole checkpoint, exactly as if nothing had happened (with `minutes` set, up to the
    clock). With `dry_run` nothing is kept: the resolved recipe, parameter counts and an estimate are printed.

    Raises BadInput for what a user can mend, and `Stopped` (a SystemExit) when the run ends early: on a signal, on a
    full disk, on a loss that isn't finite.
    """
    from sfumato.train.start import start

    start(Path(path), out=out, dry_run=dry_run, resume=resume, overrides=list(overrides))
