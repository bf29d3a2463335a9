"""What is said when a user's input can't be used, or was changed on its way in."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any


class BadInput(ValueError):
    """Something a user gave can't be used; the message is one sentence that says what, what is accepted, what to do.

    The command line prints the sentence and exits with 2; nothing has been written by then. In Python it is a
    ValueError, so that callers who know nothing of this class still catch it.
    """


class PictureWarning(UserWarning):
    """A picture was changed on its way in, in a way that its owner should hear of."""


def note(sentence: str) -> None:
    """Say a `PictureWarning`."""
    warnings.warn(sentence, PictureWarning, stacklevel=3)


def unsaid(sentence: str) -> None:
    """In the place of `note`, where a picture was told of before."""


def printable(text: object, limit: int = 300) -> str:
    """`text` on one line, without control characters or lone surrogates, cut to `limit` characters."""
    line = "".join(c if c.isprintable() else "?" for c in str(text))
    return line if len(line) <= limit else line[: limit - 3] + "..."


def reason_of(error: Exception) -> str:
    """The first line of what a library's error says, at most 200 characters of it; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def escaped_json(json: str) -> str:
    r"""JSON on its way to a terminal: what is not printable as \\u escapes, which JSON itself asks of few characters.

    A stranger's text may hold control characters of C1 (0x9B begins a command like ESC [) or turn the direction of
    writing, and half a surrogate pair can't be printed at all.
    """
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in json)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def name_of(source: Any, default: str = "the picture") -> str:
    """How a message calls a source: a path by itself, anything else by what it is."""
    if isinstance(source, str | Path) or hasattr(source, "__fspath__"):
        return printable(os.fspath(source)) or "''"
    return default
