"""Which words of a prompt count for more: `(word:1.3)`, `[word]`, and BREAK between parts."""

from __future__ import annotations

import re

from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt.foreign import escaped

Weighted = tuple[str, float]
Parts = tuple[tuple[Weighted, ...], ...]

STEP = 1.1  # what a pair of brackets multiplies or divides by
LARGEST = 100.0
DEEPEST = 100

_OPENED_BY = {")": "(", "]": "["}
_FACTOR = {")": STEP, "]": 1 / STEP}
_TOKEN = re.compile(
    r"""\\ (?P<escaped> [()\[\]\\] )
      | \\
      | (?P<open> [(\[] )
      | : \s* (?P<weight> [+-]? (?: \d+ \.? \d* | \. \d+ ) ) \s* \)
      | (?P<close> [)\]] )
      | (?P<text> [^\\()\[\]:]+ | : )""",
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")


def parse(prompt: str) -> Parts:
    r"""The parts between BREAKs, each as (text, weight) in order; neighbours of one weight are one text.

    `(word)` counts 1.1 times, `(word:1.3)` 1.3 times, `[word]` 1/1.1 times; nested brackets multiply, and one that is
    never closed reaches to the end. `\(`, `\)`, `\[`, `\]` and `\\` are the characters themselves; a backslash before
    anything else is left out. BREAK, in capitals, begins a new part, inside of brackets too. Everything else is text:
    "a (((house:1.3)) [on]" is "a ", "house" at 1.573, " " at 1.1 and "on" at 1.

    Prompts that change over the steps are resolved before, by `sfumato.recipe.prompt.schedule`.

    Raises `BadInput` for a weight beyond 100 and for more than 100 brackets open at once.
    """
    texts: list[str | None] = []  # None is a BREAK
    weights: list[float] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def say(*more: str | None) -> None:
        texts.extend(more)
        weights.extend([1.0] * len(more))

    def multiply(first: int, factor: float) -> None:
        weights[first:] = [weight * factor for weight in weights[first:]]

    for token in _TOKEN.finditer(prompt):
        kind, said = token.lastgroup, token[token.lastgroup or 0]
        bracket = "(" if kind == "weight" else _OPENED_BY.get(said, "")
        if kind == "open":
            opened[said].append(len(texts))
            if sum(map(len, opened.values())) > DEEPEST:
                raise BadInput(f"The prompt opens more than {DEEPEST} brackets at once: close some, or write \\{said}.")
        elif kind in ("weight", "close") and opened[bracket]:
            multiply(opened[bracket].pop(), float(said) if kind == "weight" else _FACTOR[said])
        elif kind == "escaped":
            say(said)
        elif kind is not None:
            first, *others = _BREAK.split(token[0])
            for text in others:
                say(first.rstrip(), None)
                first = text.lstrip()
            say(first)
    for closing, bracket in _OPENED_BY.items():
        for first in opened[bracket]:
            multiply(first, _FACTOR[closing])
    return _parts(texts, weights)


def plain(prompt: str) -> str:
    """The prompt's words without their weights, for readers that know none."""
    return said(parse(prompt))


def said(parts: Parts) -> str:
    """The words of parts, without their weights."""
    return " ".join("".join(text for text, _ in part) for part in parts)


def literal(text: str) -> str:
    """The prompt that says `text` as it stands: whatever would mean something is escaped."""
    return unjoined(escaped(unbracketed(text)))


def unbracketed(text: str) -> str:
    """The text, in which brackets and backslashes are characters."""
    return re.sub(r"[()\[\]\\]", r"\\\g<0>", text)


def unjoined(text: str) -> str:
    """The text, in which BREAK and AND are words."""
    return re.sub(r"\b(BREA(?=K\b)|AN(?=D\b))", r"\1\\", text)


def _parts(texts: list[str | None], weights: list[float]) -> Parts:
    parts: list[list[Weighted]] = [[]]
    for text, weight in zip(texts, weights, strict=True):
        if text and not abs(weight) <= LARGEST:
            raise BadInput(
                f"The prompt gives {printable(repr(text), 60)} the weight {weight:g}: "
                f"give weights from {-LARGEST:g} to {LARGEST:g}, and escape brackets that are meant as such: \\( \\)."
            )
        if text is None:
            parts.append([])
        elif parts[-1] and parts[-1][-1][1] == weight:
            parts[-1][-1] = (parts[-1][-1][0] + text, weight)
        elif text:
            parts[-1].append((text, weight))
    return tuple(map(tuple, parts))
