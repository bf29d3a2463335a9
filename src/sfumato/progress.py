"""What long work tells on stderr: single lines, a bar with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """One line on stderr, so that stdout stays for results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, total: int, done: int = 0, shown: bool = True) -> Iterator[Callable[..., None]]:
    """A bar with the time left on a terminal; elsewhere a line every half minute. Call `advance(n, note)`."""
    if not shown:
        yield lambda n=1, note="": None
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=total, completed=done, note="")
            yield lambda n=1, note="": bar.update(task, advance=n, note=note)
        return
    start, last, at = time.monotonic(), time.monotonic(), done

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal last, at
        at += n
        now = time.monotonic()
        if now - last > 30 or at >= total:
            last, left = now, (now - start) / max(at - done, 1) * (total - at)
            say(f"{title} {at}/{total}, {left / 60:.1f} min left {note}")

    yield advance
