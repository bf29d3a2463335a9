"""The writer of files beyond what `test_picture_files` shows of it: modes, functions that write, what kills leave
behind; and the paths that results may go to."""

import os
import stat
import time
from pathlib import Path

import pytest
from PIL import Image

from sfumato.picture import (
    BadInput,
    atomic,
    check_outputs,
    numbered_paths,
    open_picture,
    path_of,
    save_picture,
    write_atomically,
)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_function_writes_whole_or_nothing(tmp_path):
    write_atomically(tmp_path / "a", lambda file: file.write(b"one") and file.write(b" two"))
    assert (tmp_path / "a").read_bytes() == b"one two"

    def breaks(file):
        file.write(b"half")
        raise RuntimeError("the sky fell")

    with pytest.raises(RuntimeError):
        write_atomically(tmp_path / "a", breaks)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"one two")]


def test_a_folder_is_whole_or_not_there(tmp_path):
    with atomic.beside(tmp_path / "new" / "model") as part:
        (part / "unet").mkdir(parents=True)
        (part / "unet" / "a").write_text("x")
        assert not (tmp_path / "new" / "model").exists()
    assert (tmp_path / "new" / "model" / "unet" / "a").read_text() == "x"

    def fills_the_disk() -> None:
        with atomic.beside(tmp_path / "new" / "other") as part:
            part.mkdir()
            (part / "a").write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(BadInput, match="other can't be written: No space left on device"):
        fills_the_disk()
    with pytest.raises(BadInput, match="model can't be written"), atomic.beside(tmp_path / "new" / "model"):
        raise AssertionError("nothing is begun where a folder is in the way")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"]


def test_modes_are_the_users_the_old_file_s_or_private(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "new" / "a", b"")
        assert (mode(tmp_path / "new"), mode(tmp_path / "new" / "a")) == (0o755, 0o644)
        os.chmod(tmp_path / "new" / "a", 0o600)
        write_atomically(tmp_path / "new" / "a", b"again")
        assert mode(tmp_path / "new" / "a") == 0o600
        write_atomically(tmp_path / "own" / "deep" / "a", b"", private=True)
        write_atomically(tmp_path / "new" / "b", b"")
        write_atomically(tmp_path / "new" / "b", b"", private=True)
        assert mode(tmp_path / "new" / "b") == 0o600
        own = tmp_path / "own"
        assert (mode(own), mode(own / "deep"), mode(own / "deep" / "a")) == (0o700, 0o700, 0o600)
    finally:
        os.umask(before)


def test_what_a_kill_left_is_swept_and_nothing_else(tmp_path):
    old, young, other = (tmp_path / name for name in (f".a.png.{'0a' * 6}.part", f".a.png.{'1b' * 6}.part", ".a.part"))
    for path in (old, young, other):
        path.write_bytes(b"x")
    folder = tmp_path / f".model.{'2c' * 6}.part"
    (folder / "unet").mkdir(parents=True)
    for path in (old, other, folder):
        os.utime(path, (time.time() - 7200,) * 2)
    atomic._swept.discard(str(tmp_path))
    write_atomically(tmp_path / "b", b"")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([young.name, other.name, "b"])


def test_home_is_expanded_in_and_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save_picture(Image.new("RGB", (4, 4)), "~/a.png")
    assert (tmp_path / "a.png").is_file()
    assert open_picture("~/a.png").size == (4, 4)
    assert numbered_paths("~/g.png", 2) == [tmp_path / "g-0.png", tmp_path / "g-1.png"]
    assert path_of("~nobody-has-this-name/x") == Path("~nobody-has-this-name/x")
    (tmp_path / "~").write_bytes(b"")
    assert path_of("~") == Path("~")  # a file that is called so


def test_results_never_replace_inputs_or_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "link.png").symlink_to("a.png")
    os.link("a.png", "hard.png")
    assert check_outputs(["a.png", None, b"bytes", 3], ["b.png", "c.png"]) == [Path("b.png"), Path("c.png")]
    for name in ("a.png", "./a.png", tmp_path / "a.png", "link.png", "hard.png"):
        with pytest.raises(BadInput, match="also an input"):
            check_outputs(["a.png"], ["b.png", name])
    for pair in (["b.png", "./b.png"], ["b.png", tmp_path / "b.png"], ["a.png", "link.png"]):
        with pytest.raises(BadInput, match="written twice"):
            check_outputs([], pair)
    with pytest.raises(BadInput, match="must end in"):
        check_outputs([], ["b.gif"])
