"""Sets of pictures: folders, tars, arrays, the built-in world; what can't be read is said in one sentence."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.evaluate.pictures import picture_set
from sfumato.picture import BadInput


def flat(level: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set" / "below").mkdir(parents=True)
    for i in range(6):
        flat(10 * i).save(tmp_path / "set" / ("below" if i > 3 else ".") / f"{i}.png")
    (tmp_path / "set" / "2.txt").write_text("the third")
    return tmp_path / "set"


def test_a_folder(folder: Path):
    found = picture_set(str(folder), None, 100)
    assert (len(found), found.size) == (6, (8, 8))
    assert list(found.names) == ["0.png", "1.png", "2.png", "3.png", "below/4.png", "below/5.png"]
    assert found.words(2) == "the third"
    assert not found.words(1)
    x = found.batch([0, 5])
    assert tuple(x.shape) == (2, 3, 8, 8)
    assert x[:, 0, 0, 0].tolist() == pytest.approx([-1, 50 / 127.5 - 1])


def test_fewer_are_spread_evenly_and_another_size_is_fitted(folder: Path):
    found = picture_set(str(folder), (4, 12), 3)
    assert [np.asarray(found.read(i))[0, 0, 0] for i in range(3)] == [0, 20, 40]
    assert found.read(0).size == (4, 12)
    assert found.key != picture_set(str(folder), (4, 12), 2).key != picture_set(str(folder), (12, 4), 2).key


def test_a_changed_file_is_another_set(folder: Path):
    before = picture_set(str(folder), None, 10).key
    assert picture_set(str(folder), None, 10).key == before
    flat(99, (9, 9)).save(folder / "1.png")
    assert picture_set(str(folder), None, 10).key != before


def test_tars_with_their_words(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for i in range(3):
            buffer = io.BytesIO()
            flat(50 * i).save(buffer, "PNG")
            for suffix, data in (("png", buffer.getvalue()), ("json", json.dumps({"text": f"grey {i}"}).encode())):
                member = tarfile.TarInfo(f"{i:03d}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    found = picture_set(str(tmp_path), None, 10)
    assert [found.words(i) for i in range(3)] == ["grey 0", "grey 1", "grey 2"]
    assert np.asarray(found.read(2))[0, 0, 0] == 100


def test_arrays(tmp_path: Path):
    x = np.arange(4 * 6 * 6, dtype=np.uint8).reshape(4, 6, 6)
    np.savez(tmp_path / "one.npz", arr_0=np.stack([x] * 3, -1), y=np.arange(4))
    np.savez(tmp_path / "two.npz", train_x=x, test_x=x[:2, ..., None])
    assert tuple(picture_set(str(tmp_path / "one.npz"), None, 10).batch([0, 3]).shape) == (2, 3, 6, 6)
    found = picture_set(f"{tmp_path / 'two.npz'}:test_x", None, 10)
    assert len(found) == 2
    assert np.array_equal(np.asarray(found.read(1))[..., 0], x[1])
    with pytest.raises(BadInput, match=r"several arrays of pictures, .*two.npz:train_x"):
        picture_set(str(tmp_path / "two.npz"), None, 10)
    with pytest.raises(BadInput, match="holds no pictures 'valid_x'"):
        picture_set(f"{tmp_path / 'two.npz'}:valid_x", None, 10)
    np.savez(tmp_path / "none.npz", y=np.arange(4))
    with pytest.raises(BadInput, match="no array of pictures"):
        picture_set(str(tmp_path / "none.npz"), None, 10)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(BadInput, match="can't be read"):
        picture_set(str(tmp_path / "bad.npz"), None, 10)


def test_the_world_is_drawn_when_asked():
    found = picture_set("vignettes", (32, 16), 10**6, seed=5)
    assert len(found) == 10**6
    assert found.read(3).size == (32, 16)
    assert found.words(3)
    assert found.key != picture_set("vignettes", (32, 16), 10**6, seed=6).key
    with pytest.raises(BadInput, match="no split"):
        picture_set("vignettes", None, 3, split="sen")


def test_what_is_no_set_is_said(tmp_path: Path):
    with pytest.raises(BadInput, match="There is no folder"):
        picture_set(str(tmp_path / "nowhere"), None, 10)
    with pytest.raises(BadInput, match="holds no pictures"):
        picture_set(str(tmp_path), None, 10)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(BadInput, match=r"bad\.png"):
        picture_set(str(tmp_path), None, 10).batch([0])
