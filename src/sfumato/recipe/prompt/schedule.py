r"""Prompts that change over the steps: A1111's prompt editing and alternating words.

| written | in the first n steps | in the others |
|---|---|---|
| `[from:to:n]` | from | to |
| `[to:n]` | | to |
| `[from::n]` | from | |
| `[one\|two\|three]` | one step of each, and again from the first | |

n is a number of steps, or with a point in it a share of all steps: 0.25 of 20 is 5. They nest; text may be empty. What
is none of these, as `[word]` and `[a:b]`, and brackets that are never closed are left to `emphasis`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sfumato.picture.errors import BadInput
from sfumato.recipe.prompt.emphasis import DEEPEST

TEXTS = 100  # different ones that a prompt may come to

_MARK = re.compile(r"\\.|[(\[\])|:]", re.DOTALL)
_CLOSES = {")": "(", "]": "["}
_WHEN = re.compile(r"[+-]?(\d{1,9}\.?\d{0,9}|\.\d{1,9})")

_Text = Sequence["str | _Group | _Edit | _Turns"]


@dataclass(frozen=True)
class _Group:
    """Brackets that change nothing."""

    text: _Text

    def at(self, step: int, steps: int) -> _Text:
        return self.text


@dataclass(frozen=True)
class _Edit:
    before: _Text
    after: _Text
    when: str

    def count(self, steps: int) -> int:
        """In how many of so many steps `before` is said."""
        return int(float(self.when) * steps) if "." in self.when else int(self.when)

    def at(self, step: int, steps: int) -> _Text:
        return self.before if step < self.count(steps) else self.after


@dataclass(frozen=True)
class _Turns:
    texts: tuple[_Text, ...]

    def at(self, step: int, steps: int) -> _Text:
        return self.texts[step % len(self.texts)]


def periods(prompt: str, steps: int) -> list[tuple[int, str]]:
    """What the prompt says in the course of so many steps: (first step, text), whenever it comes to say another.

    Raises BadInput for more than 100 different texts, and for more than 100 brackets within one another.
    """
    text = _read(prompt)
    said = [(_said(text, step, steps), step) for step in range(steps if _changes(text) else 1)]
    if len({words for words, _ in said}) > TEXTS:
        raise BadInput(f"The prompt comes to more than {TEXTS} different texts in {steps} steps: change it less often.")
    return [(next(group)[1], words) for words, group in groupby(said, key=lambda each: each[0])]


def changes(prompt: str) -> bool:
    """Whether there is anything in the prompt that may change."""
    return _changes(_read(prompt))


def later(prompt: str, steps: int) -> str:
    """The prompt that says here what A1111's page says in a walk of so many steps of one call each. There the words of
    step n are said at call n too, counted from 0: `from` n + 1 times, and the first of words in turn twice."""
    return _later(_read(prompt), steps)


def _later(text: _Text, steps: int) -> str:
    return "".join(each if isinstance(each, str) else _written_later(each, steps) for each in text)


def _written_later(piece: _Group | _Edit | _Turns, steps: int) -> str:
    if isinstance(piece, _Group):
        return _later(piece.text, steps)
    if isinstance(piece, _Edit):
        count = piece.count(steps)
        texts = ":".join(_later(text, steps) for text in (piece.before, piece.after))
        return f"[{texts}:{count + 1 if 1 <= count < steps else count}]"
    first, *others = (_later(text, steps) for text in piece.texts)
    turns = [*others[-1:], first, *others[:-1]]
    return f"[{first}:[{'|'.join(turns)}]:1]"


def last(prompt: str, steps: int) -> str:
    """What the prompt says in the last step."""
    return _said(_read(prompt), steps - 1, steps)


def _said(text: _Text, step: int, steps: int) -> str:
    return "".join(each if isinstance(each, str) else _said(each.at(step, steps), step, steps) for each in text)


def _changes(text: _Text) -> bool:
    return any(isinstance(each, _Edit | _Turns) or (isinstance(each, _Group) and _changes(each.text)) for each in text)


def _read(prompt: str) -> _Text:
    """The prompt in one pass over its marks; what is closed becomes one piece, and its marks are seen no more."""
    pieces: list[str | _Group | _Edit | _Turns] = []
    opened: list[tuple[str, int]] = []  # brackets, and where their text begins
    end = 0
    for mark in _MARK.finditer(prompt):
        pieces += [prompt[end : mark.start()], mark[0]]
        end = mark.end()
        if mark[0] in ("(", "["):
            opened.append((mark[0], len(pieces)))
            if len(opened) > DEEPEST:
                raise BadInput(
                    f"The prompt opens more than {DEEPEST} brackets at once: close some, or write \\{mark[0]}."
                )
        elif mark[0] in _CLOSES and opened and opened[-1][0] == _CLOSES[mark[0]]:
            bracket, begin = opened.pop()
            inner = pieces[begin:-1]
            found = _changing(inner) if bracket == "[" else None
            pieces[begin - 1 :] = [found or _Group([bracket, *inner, mark[0]])]
    return [*pieces, prompt[end:]]


def _changing(inner: _Text) -> _Edit | _Turns | None:
    """What stands between square brackets, if it is one of the table."""
    if "|" in inner:
        return None if ":" in inner else _Turns(tuple(_split(inner, "|")))
    *texts, when = _split(inner, ":")
    number = "".join(each if isinstance(each, str) else "?" for each in when).strip()
    if len(texts) not in (1, 2) or not _WHEN.fullmatch(number):
        return None
    return _Edit(texts[0] if len(texts) == 2 else (), texts[-1], number)


def _split(text: _Text, mark: str) -> list[_Text]:
    ends = [i for i, each in enumerate(text) if each == mark]
    return [text[begin:end] for begin, end in zip([0, *(i + 1 for i in ends)], [*ends, len(text)], strict=True)]
