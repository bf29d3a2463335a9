"""Prompts longer than a text encoder's window, cut into chunks that fit."""

from __future__ import annotations

from collections.abc import Sequence

Token = tuple[int, float]  # its id and its weight

BACK = 20


def grouped(parts: Sequence[Sequence[Sequence[Token]]], room: int, together: int) -> list[list[Token]]:
    """The same, of parts that are groups of tokens: a full chunk ends where it is full, and a group of fewer than
    `together` tokens stands in one (ComfyUI's)."""
    cut: list[list[Token]] = []
    for part in parts:
        cut.append([])
        for group in part:
            rest = list(group)
            while len(rest) > room - len(cut[-1]):
                taken = room - len(cut[-1]) if len(group) >= together else 0
                cut[-1] += rest[:taken]
                rest = rest[taken:]
                cut.append([])
            cut[-1] += rest
    return cut[:-1] if len(cut) > 1 and not cut[-1] else cut


def chunks(
    parts: Sequence[Sequence[Token]], room: int, comma: int | None = None, back: int = BACK
) -> list[list[Token]]:
    """At least one chunk of at most `room` tokens; every part begins a new one.

    A chunk that is full ends behind its last comma instead, if that is among the last `back` tokens and the next token
    is no comma itself, so that what belongs together is read together (A1111's "comma padding backtrack").
    """
    cut: list[list[Token]] = []
    for part in parts:
        rest = list(part)
        while len(rest) > room:
            end = _end(rest, room, comma, back)
            cut.append(rest[:end])
            rest = rest[end:]
        cut.append(rest)
    return cut[:-1] if len(cut) > 1 and not cut[-1] else cut


def _end(tokens: Sequence[Token], room: int, comma: int | None, back: int) -> int:
    ids = [token for token, _ in tokens[: room + 1]]
    if comma is None or ids[room] == comma:
        return room
    return next((i + 1 for i in range(room - 1, max(room - back, 0) - 1, -1) if ids[i] == comma), room)
