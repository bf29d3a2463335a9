"""Kept arrays and captions that were damaged count as nothing, with a line; what is whole is not computed again."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from sfumato.data import array_cache
from sfumato.data.lock import Locked, lock
from sfumato.picture import BadInput

SHAPE = {"squares": ((2,), np.int64), "roots": ((), np.float32)}


def compute(spans, asked=None):
    for a, b in spans:
        if asked is not None:
            asked.append(a)
        n = np.arange(a, b)
        yield a, {"squares": np.stack([n**2] * 2, 1), "roots": np.sqrt(n).astype(np.float32)}


def opened(folder: Path) -> list[int]:
    """Reads all of it, right; answers which chunks were computed for that."""
    asked: list[int] = []
    got = array_cache.arrays(folder, "t", "k", SHAPE, lambda spans: compute(spans, asked), 40, chunk=10)
    assert got["squares"][:, 1].tolist() == [i * i for i in range(40)]
    assert np.array_equal(got["roots"], np.sqrt(np.arange(40)).astype(np.float32))
    assert not got["squares"].flags.writeable
    return asked


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def test_one_flipped_bit_costs_one_chunk_and_a_line(tmp_path, capsys):
    assert opened(tmp_path) == [0, 10, 20, 30]
    assert opened(tmp_path) == []
    assert capsys.readouterr().err.count("damaged") == 0
    flip(tmp_path / "t-k" / "squares.npy", -16 * 12)  # row 28
    assert opened(tmp_path) == [20]
    assert f"{tmp_path / 't-k'}: 1 of 4 chunks are damaged" in capsys.readouterr().err
    assert opened(tmp_path) == []


@pytest.mark.parametrize("name", ["squares.npy", "roots.npy"])
@pytest.mark.parametrize("how", ["header", "short", "empty", "lost", "long", "other"])
def test_an_array_that_is_none_any_more_is_made_anew(tmp_path, name, how):
    opened(tmp_path)
    path = tmp_path / "t-k" / name
    data = path.read_bytes()
    if how == "lost":
        path.unlink()
    elif how == "other":
        np.save(path, np.zeros(3))
    else:
        path.write_bytes({"header": b"x" * 90 + data[90:], "short": data[:-9], "empty": b"", "long": data + b"x"}[how])
    assert opened(tmp_path) == {"long": [], "short": [30]}.get(how, [0, 10, 20, 30])
    assert opened(tmp_path) == []


@pytest.mark.parametrize("journal", [b"", b"\xff\x00\n30", b"0\n10\n20\n30\n", b"0 0123456789abcdef\n" * 4])
def test_a_damaged_journal_counts_for_nothing(tmp_path, journal):
    opened(tmp_path)
    (tmp_path / "t-k" / "done").write_bytes(journal)
    assert opened(tmp_path) == [0, 10, 20, 30]
    assert opened(tmp_path) == []


@pytest.mark.parametrize("damage", [lambda d: d[:-3], lambda d: d[3:], lambda d: b"", lambda d: d.replace(b"b", b"c")])
def test_damaged_lines_are_made_again(tmp_path, capsys, damage):
    said = [["a\u2028b"], ["b"]]
    assert array_cache.lines(tmp_path, "t", "k", lambda: iter(said)) == said
    path = tmp_path / "t-k.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    assert array_cache.lines(tmp_path, "t", "k", lambda: iter([["c"]])) == [["c"]]
    assert f"{path} is damaged" in capsys.readouterr().err
    assert array_cache.lines(tmp_path, "t", "k", lambda: iter([])) == [["c"]]
    assert [p.name for p in tmp_path.iterdir()] == ["t-k.jsonl"]


def _slow(folder: Path) -> None:
    def compute_slowly(spans):
        for part in compute(spans):
            time.sleep(0.1)
            yield part

    array_cache.arrays(folder, "t", "k", SHAPE, compute_slowly, 40, chunk=10)


def test_runs_side_by_side_compute_it_once(tmp_path):
    other = multiprocessing.get_context("fork").Process(target=_slow, args=(tmp_path,))
    other.start()
    while not (tmp_path / "t-k" / "done").exists():
        time.sleep(0.01)
    assert opened(tmp_path) == []
    other.join()
    assert other.exitcode == 0


def test_a_lock_names_its_holder_and_a_kill_releases_it(tmp_path):
    def hold():
        with lock(tmp_path / "lock"):
            time.sleep(60)

    other = multiprocessing.get_context("fork").Process(target=hold)
    other.start()
    while not (tmp_path / "lock").exists() or not (tmp_path / "lock").read_text():
        time.sleep(0.01)
    with pytest.raises(Locked) as caught, lock(tmp_path / "lock"):
        pass
    assert caught.value.process == other.pid
    other.kill()
    other.join()
    with lock(tmp_path / "lock"):
        pass


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match=str(tmp_path)):
        opened(tmp_path)
