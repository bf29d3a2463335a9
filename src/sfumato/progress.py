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
    elif sys.stderr.isatty():
        with _bar(title, total, done) as advance:
            yield advance
    else:
        yield _Lines(title, total, done)


@contextmanager
def _bar(title: str, total: int | None, done: int) -> Iterator[Callable[..., None]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    note_column, console = TextColumn("{task.fields[note]}"), Console(stderr=True)
    with Progress(*columns, note_column, console=console, transient=total is None) as bar:
        task = bar.add_task(escape(title), total=total, completed=done, note="")

        def advance(
            n: int = 1, note: str = "", *, done: int | None = None, total: int | None = None, title: str | None = None
        ) -> None:
            step = n if done is None else None
            bar.update(task, advance=step, completed=done, total=total, description=title and escape(title), note=note)

        yield advance


class _Lines:
    """Lines with the time left, counted from when work of this title began."""

    def __init__(self, title: str, total: int | None, done: int) -> None:
        self.title, self.total, self.done, self.first = title, total, done, done
        self.begun = self.said = time.monotonic()
        self.ends = total is not None

    def __call__(
        self, n: int = 1, note: str = "", *, done: int | None = None, total: int | None = None, title: str | None = None
    ) -> None:
        now = time.monotonic()
        if title not in (None, self.title):
            self.title, self.begun, self.said, self.first = title, now, now, self.done
        self.done, self.total = self.done + n if done is None else done, total or self.total
        if self.total is not None and (now - self.said > 30 or (self.ends and self.done >= self.total)):
            left = (now - self.begun) / max(self.done - self.first, 1) * (self.total - self.done)
            self.said = now
            say(f"{self.title} {self.done}/{self.total}, {left / 60:.1f} min left {note}")
