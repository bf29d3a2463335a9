"""Arrays and lines that are kept: whatever is damaged counts as nothing, is named, and is made again alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfumato.data import array_cache

SHAPES = {"pictures": ((2, 3), np.uint8), "squares": ((1,), np.int64)}


class Computed:
    """Rows that are functions of their number; notes which spans it was asked for."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def __call__(self, spans):
        for start, stop in spans:
            self.spans.append((start, stop))
            n = np.arange(start, stop)
            yield start, {"pictures": np.stack([n % 251] * 6, 1).reshape(-1, 2, 3), "squares": n[:, None] ** 2}


def opened(folder: Path, compute: Computed) -> dict[str, np.ndarray]:
    return array_cache.arrays(folder, "t", "key", SHAPES, compute, 20, chunk=6)


def test_damaged_rows_are_seen_named_and_made_again_alone(tmp_path: Path, capsys: pytest.CaptureFixture):
    first = Computed()
    want = {name: rows.copy() for name, rows in opened(tmp_path, first).items()}
    assert first.spans == [(0, 6), (6, 12), (12, 18), (18, 20)]
    path = tmp_path / "t-key" / "pictures.npy"
    whole = path.read_bytes()
    again = Computed()
    opened(tmp_path, again)
    assert again.spans == [], "nothing is computed twice"

    row = len(whole) - (20 - 13) * 6  # where row 13 begins
    damages = {
        "one level of a row": (whole[:row] + bytes([whole[row] ^ 1]) + whole[row + 1 :], [(12, 18)]),
        "cut": (whole[:-50], first.spans[1:]),
        "empty": (b"", first.spans),
        "another header": (whole[:8] + b"?" * 8 + whole[16:], first.spans),
    }
    for what, (data, spans) in damages.items():
        path.write_bytes(data)
        capsys.readouterr()
        again = Computed()
        found = opened(tmp_path, again)
        assert again.spans == spans, what
        said = capsys.readouterr().err
        assert "damaged" in said, what
        assert str(path.parent) in said, what
        for name, rows in want.items():
            assert np.array_equal(found[name], rows), what
        assert path.read_bytes() == whole, what


def test_a_damaged_journal_costs_its_rows_alone(tmp_path: Path):
    opened(tmp_path, Computed())
    journal = tmp_path / "t-key" / "done"
    first, _, third, last = journal.read_text().split("\n")[1:5]
    journal.write_text("\n".join([first, "6", "12 zzzzzzzz", third.replace("12 ", "120 "), last, "18 01"]))
    again = Computed()
    opened(tmp_path, again)
    assert again.spans == [(6, 12), (12, 18)]


def test_lines_are_checked_and_may_hold_any_character(tmp_path: Path, capsys: pytest.CaptureFixture):
    said = [["é\u2028next\x85", "b"], []]
    assert array_cache.lines(tmp_path, "t", "k", lambda: iter(said)) == said
    assert array_cache.lines(tmp_path, "t", "k", lambda: iter([])) == said
    path = tmp_path / "t-k.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"c"'))
    assert array_cache.lines(tmp_path, "t", "k", lambda: iter(said)) == said
    assert f"{path} is damaged" in capsys.readouterr().err
