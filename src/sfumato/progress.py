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
def progress(title: str, total: int | None = None, done: int = 0, shown: bool = True) -> Iterator[Callable[..., None]]:
    """A bar with the time left on a terminal, elsewhere a line every half minute. Call `advance(n, note)`.

    Where there is no telling beforehand what is to be done, `advance(done=3, total=20, title="painting")` tells it on
    the way. Work whose `total` was known from the start leaves its bar, or a last line, behind.
    """
    if not shown:
        yield lambda n=1, note="", **told: None
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        note_column, console = TextColumn("{task.fields[note]}"), Console(stderr=True)
        with Progress(*columns, note_column, console=console, transient=total is None) as bar:
            task = bar.add_task(escape(title), total=total, completed=done, note="")

            def move(
                n: int = 1,
                note: str = "",
                *,
                done: int | None = None,
                total: int | None = None,
                title: str | None = None,
            ) -> None:
                step = n if done is None else None
                bar.update(
                    task, advance=step, completed=done, total=total, description=title and escape(title), note=note
                )

            yield move
        return
    begun = last = time.monotonic()
    first = at = done
    whole, leaves = total, total is not None

    def advance(
        n: int = 1, note: str = "", *, done: int | None = None, total: int | None = None, title: str | None = None
    ) -> None:
        nonlocal begun, last, first, at, whole, name
        now = time.monotonic()
        if title not in (None, name):  # something else is done from here on
            name, begun, last, first = title, now, now, at
        at, whole = at + n if done is None else done, whole if total is None else total
        if whole is not None and (now - last > 30 or (leaves and at >= whole)):
            last, left = now, (now - begun) / max(at - first, 1) * (whole - at)
            say(f"{name} {at}/{whole}, {left / 60:.1f} min left {note}")

    name: str | None = title
    yield advance
