"""What training reads: classes, webdataset tars, arrays, folders with classes; and one sentence for each bad file."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.data.dataset import numbered
from sfumato.picture import BadInput
from sfumato.train import recipe as r

EMOJI = Path(__file__).parents[3] / "shared" / "data" / "emoji"
GREYS = {"coal": 20, "stone": 120, "snow": 240}


def recipe(data: dict[str, Any]) -> Any:
    return r.validate(
        {"task": "pixels", "data": data, "network": {"channels": [16, 16], "attention": [False, False], "head": 16}}
    )


def read(data: dict[str, Any], home: Path, held_back: int = 4, grey: bool = False):
    return recipe(data).data.open(held_back, home, 1, grey)


def picture(grey: int, suffix: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16), (grey,) * 3).save(buffer, suffix)
    return buffer.getvalue()


def tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def shards(folder: Path) -> Path:
    """Two tars of twelve samples each, sorted by class; the second has captions in .txt and no .json."""
    folder.mkdir()
    first, second = {}, {}
    for i in range(12):
        name, grey = list(GREYS.items())[i // 4]
        first[f"a/{i:03}.webp"] = picture(grey, "WebP")
        first[f"a/{i:03}.json"] = json.dumps({"kind": name, "text": f"a {name}"}).encode()
        second[f"{i:03}.png"] = picture(grey)
        second[f"{i:03}.txt"] = f"some {name}\n".encode()
        second[f"{i:03}.cls"] = str(i // 4 + 9).encode()
    tar(folder / "00.tar", {**first, "readme.md": b"not a sample"})
    tar(folder / "01.tar", second)
    return folder


def test_classes_are_numbered_in_the_order_of_their_names_and_numbers_by_value():
    ids, names = numbered(["pear", "apple", "pear"], "here")
    assert (ids.tolist(), names) == ([1, 0, 1], ("apple", "pear"))
    ids, names = numbered([10, 9, 10], "here")
    assert (ids.tolist(), names) == ([1, 0, 1], ("9", "10"))
    with pytest.raises(BadInput, match="1 of 2 pictures have no class"):
        numbered(["apple", None], "here")


def test_tars_give_pictures_captions_and_classes(tmp_path: Path):
    folder = shards(tmp_path / "shards")
    train, test = read({"kind": "tars", "path": folder / "00.tar", "size": 16, "label": "kind"}, tmp_path, 1)
    assert (len(train), len(test), train.classes) == (11, 1, ("coal", "snow", "stone"))
    assert train.labels is not None
    for pixels, label, captions in zip(train.pictures, train.labels, train.captions, strict=True):
        name = train.classes[label]
        assert captions == [f"a {name}"]
        assert abs(int(pixels.mean()) - GREYS[name]) <= 2

    train, _ = read({"kind": "tars", "path": folder / "01.tar", "size": 16, "label": "cls"}, tmp_path)
    assert (train.classes, train.captions[0]) == (("9", "10", "11"), ["some coal"])
    both, _ = read({"kind": "tars", "path": folder, "size": 16}, tmp_path)
    assert (both.labels, len(both.captions) + 2) == (None, 24)


def test_what_is_held_back_of_sorted_classes_has_all_of_them(tmp_path: Path):
    folder = tmp_path / "world"
    for name in GREYS:
        (folder / name).mkdir(parents=True)
        for i in range(20):
            Image.new("RGB", (16, 16)).save(folder / name / f"{i:02}.png")
    train, test = read({"kind": "folder", "path": folder, "size": 16, "label": "folder"}, tmp_path, 6)
    assert test.labels is not None
    assert np.bincount(test.labels).tolist() == [2, 2, 2]
    assert train.labels is not None
    assert np.bincount(train.labels).tolist() == [18, 18, 18]


def test_a_key_of_metadata_is_a_class(tmp_path: Path):
    lines = []
    for i in range(4):
        Image.new("RGB", (16, 16)).save(tmp_path / f"{i}.png")
        lines.append(json.dumps({"file_name": f"{i}.png", "kind": ["b", "a"][i % 2]}))
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    train, _ = read({"kind": "folder", "path": tmp_path, "size": 16, "label": "kind"}, tmp_path / "cache", 1)
    assert train.classes == ("a", "b")
    with pytest.raises(BadInput, match="4 of 4 pictures have no class there"):
        read({"kind": "folder", "path": tmp_path, "size": 16, "label": "sort"}, tmp_path / "cache", 1)


def arrays(path: Path, **changes: Any) -> dict[str, Any]:
    greys = np.repeat(np.arange(10, dtype=np.uint8), 10)
    x = np.broadcast_to(greys[:, None, None] * 20, (100, 14, 14)).astype(np.uint8)
    np.savez(path, **{"x": x, "y": greys, **changes})
    return {"kind": "arrays", "path": path, "size": 28}


def test_arrays_sorted_by_class_are_shuffled_and_keep_their_classes(tmp_path: Path):
    data = arrays(tmp_path / "a.npz")
    train, test = read({**data, "rows": [0, 50]}, tmp_path, 5, grey=True)
    assert (train.pictures.shape, test.pictures.shape) == ((45, 28, 28, 1), (5, 28, 28, 1))
    assert train.labels is not None
    assert (train.pictures[:, 0, 0, 0] == 20 * train.labels).all()
    assert len(set(train.labels.tolist())) == 10
    other, _ = read({**data, "rows": [50, 100]}, tmp_path, 5)
    assert other.pictures.shape == (45, 28, 28, 3)
    assert train.classes == tuple("0123456789")
    assert train.key != other.key


def test_test_arrays_are_what_is_held_back(tmp_path: Path):
    t = np.full((30, 14, 14), 200, np.uint8)
    data = arrays(tmp_path / "a.npz", t=t, s=np.ones(30, int))
    train, test = read({**data, "test_x": "t", "test_y": "s"}, tmp_path, 20)
    assert (len(train), len(test), int(test.pictures.min())) == (100, 20, 200)


@pytest.mark.parametrize(
    ("changes", "data", "sentence"),
    [
        ({}, {"x": "train_x"}, "has no array 'train_x': it holds x, y"),
        ({"x": np.zeros((100, 14, 14))}, {}, "'x' is float64 .* accepted are uint8"),
        ({"x": np.zeros((100, 2, 14, 14), np.uint8)}, {}, "accepted are uint8"),
        ({"y": np.zeros(99, int)}, {}, "must be a whole number for each picture"),
        ({"y": np.full(100, -1)}, {}, "has the class -1"),
        ({}, {"rows": [90, 101]}, r"\[90, 101\) does not fit the 100 pictures"),
        ({}, {"classes": ["a", "b"]}, "names 2 classes, but .* has the class 9"),
        ({"x": np.zeros((100, 0, 14), np.uint8)}, {}, r"'x' is uint8 \(100, 0, 14\)"),
        ({"y": np.full(100, 2**40)}, {}, "has the class 1099511627776; classes are whole numbers from 0 to 999,999"),
        ({"y": np.array([{}] * 100)}, {}, "Object arrays cannot be loaded"),
    ],
)
def test_a_wrong_array_is_said_in_one_sentence(tmp_path: Path, changes: dict, data: dict, sentence: str):
    with pytest.raises(BadInput, match=sentence) as caught:
        read({**arrays(tmp_path / "a.npz", **changes), **data}, tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_named(tmp_path: Path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BadInput, match=r"a\.npz can't be read as \.npz"):
        read({"kind": "arrays", "path": tmp_path / "a.npz"}, tmp_path)
    (tmp_path / "a.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(BadInput, match=r"a\.tar can't be read as an uncompressed tar"):
        read({"kind": "tars", "path": tmp_path / "a.tar"}, tmp_path)
    with pytest.raises(BadInput, match="is no tar and no folder of tars"):
        read({"kind": "tars", "path": tmp_path / "none"}, tmp_path)
    with pytest.raises(BadInput, match=r"b\.tar: no picture there can be read; b\.tar/5: "):
        read({"kind": "tars", "path": tar(tmp_path / "b.tar", {"5.png": b"x" * 90})}, tmp_path)
    files = {f"{i}.png": picture(3) for i in range(4)}
    with pytest.raises(BadInput, match=r"c\.tar/1\.json can't be read as JSON"):
        read({"kind": "tars", "path": tar(tmp_path / "c.tar", {**files, "1.json": b"{"})}, tmp_path)
    with pytest.raises(BadInput, match=r"d\.tar holds no pictures"):
        read({"kind": "tars", "path": tar(tmp_path / "d.tar", {"1.json": b"{}"})}, tmp_path)


def test_bad_pictures_of_a_tar_are_named_and_left_out(tmp_path: Path, capsys):
    """With the words that were theirs; other pictures keep their own, also when the tar is read again."""
    files = {f"{i}.png": picture((10, 20, 30, 40)[i]) for i in range(4)}
    files |= {f"{i}.txt": f"number {i}".encode() for i in range(4)}
    path = tar(tmp_path / "a.tar", {**files, "1.png": files["1.png"][:50], "3.png": b""})
    for _ in range(2):
        train, _ = read({"kind": "tars", "path": path, "size": 16}, tmp_path / "home", 0)
        assert train.captions == [["number 0"], ["number 2"]]
        assert train.pictures[:, 0, 0, 0].tolist() == [10, 30]
        said = capsys.readouterr().err
        assert "2 of 4 pictures can't be read and are left out" in said
        assert "a.tar/1: " in said
        assert "a.tar/3: " in said


def damaged_npz(path: Path, how: str) -> None:
    """A .npz whose bytes are no arrays any more."""
    if how == "one array":
        np.save(path.with_suffix(".npy"), np.zeros((4, 14, 14), np.uint8))
        path.with_suffix(".npy").rename(path)
    elif how == "compressed and damaged":
        x = np.random.default_rng(0).integers(0, 255, (100, 14, 14)).astype(np.uint8)
        np.savez_compressed(path, x=x, y=np.arange(100) % 10)
        data = path.read_bytes()
        path.write_bytes(data[:300] + bytes(100) + data[400:])
    elif how == "no arrays inside":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", b"x")
            archive.writestr("y.npy", b"y")
    else:
        path.write_text("words")


@pytest.mark.parametrize("how", ["one array", "compressed and damaged", "no arrays inside", "words"])
def test_a_file_that_is_no_npz_is_said_in_one_sentence(tmp_path: Path, how: str):
    damaged_npz(tmp_path / "a.npz", how)
    with pytest.raises(BadInput, match=r"a\.npz can't be read as \.npz \(.*\): name a file of arrays$"):
        read({"kind": "arrays", "path": tmp_path / "a.npz"}, tmp_path)


def imagefolder(folder: Path, **said: Any) -> dict[str, Any]:
    rows = [{"file_name": f"{i}.png", **said} for i in range(4)]
    for row in rows:
        (folder / row["file_name"]).write_bytes(picture(9))
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {"kind": "folder", "path": folder, "size": 16}


@pytest.mark.parametrize(
    ("text", "captions"), [("a", ["a"]), (["a", "b"], ["a", "b"]), (None, [""]), ([], [""]), (5, ["5"]), ("", [""])]
)
def test_captions_are_a_string_several_or_none(tmp_path: Path, text: object, captions: list[str]):
    train, test = read(imagefolder(tmp_path, text=text), tmp_path / "cache", 1)
    assert (train.captions, test.captions) == ([captions] * 3, [captions])


def test_damaged_folders_are_named(tmp_path: Path):
    data, table = imagefolder(tmp_path), tmp_path / "metadata.jsonl"
    lines = table.read_bytes().splitlines()
    for line, said in {
        b'{"file_name": 5}': "line 5 is no JSON object with the key 'file_name'",
        b'["0.png"]': "line 5 is no JSON object",
        b"{": "line 5 is no JSON object",
        b'{"file_name": "none.png"}': "line 5 names none.png, which isn't there",
        b'{"file_name": "0.png", "text": "\xff"}': r"metadata\.jsonl can't be read as text in UTF-8",
    }.items():
        table.write_bytes(b"\n".join([*lines, line]))
        with pytest.raises(BadInput, match=said):
            read(data, tmp_path / "cache")
    table.unlink()
    (tmp_path / "2.txt").write_bytes(b"\xff")
    with pytest.raises(BadInput, match=r"2\.txt can't be read as text in UTF-8"):
        read(data, tmp_path / "cache")
    (tmp_path / "2.txt").unlink()
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(picture(9)[:40])
    with pytest.raises(BadInput, match=r"no picture there can be read; .*0\.png is not a picture"):
        read(data, tmp_path / "cache")


def test_pictures_that_cant_be_read_are_listed_and_left_out(tmp_path: Path, capsys):
    data = imagefolder(tmp_path)
    (tmp_path / "2.png").write_bytes(picture(9)[:40])
    train, _ = read(data, tmp_path / "cache", 0)
    assert train.names == ("0", "1", "3")
    told = capsys.readouterr().err
    assert "1 of 4 pictures can't be read and are left out" in told
    assert "2.png is not a picture" in told


@pytest.mark.parametrize("kept", [540, 700, 512 * 7 + 20], ids=["in a picture", "in a header", "in the last picture"])
def test_a_tar_that_was_cut_short_is_named(tmp_path: Path, kept: int):
    path = tar(tmp_path / "a.tar", {f"{i}.png": picture(3) for i in range(4)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadInput, match=r"a\.tar can't be read as an uncompressed tar \(unexpected end of data\)"):
        read({"kind": "tars", "path": path}, tmp_path)


def test_digits_stand_in_for_an_absent_file_or_it_is_said_what_to_do(tmp_path: Path, monkeypatch, capsys):
    data = {"kind": "arrays", "path": tmp_path / "none.npz", "size": 16}
    with pytest.raises(BadInput, match=r"can't be read as \.npz"):
        read(data, tmp_path)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(BadInput, match="isn't installed: name the file"):
        read({**data, "absent": "digits"}, tmp_path)
    monkeypatch.undo()
    pytest.importorskip("sklearn", reason="scikit-learn isn't installed: its digits can't stand in")
    train, _ = read({**data, "absent": "digits"}, tmp_path)
    assert train.classes == tuple("0123456789")
    assert "stand in" in capsys.readouterr().err


def test_classes_are_asked_for_where_they_are_needed(tmp_path: Path):
    from sfumato.train.tasks.pixels import classes_of

    folder = shards(tmp_path / "shards")
    made = recipe({"kind": "tars", "path": folder, "size": 16})
    source, _ = made.data.open(1, tmp_path, 1)
    with pytest.raises(BadInput, match="learns classes, but its pictures have none"):
        classes_of(source, made)


def test_real_webdataset_tars(tmp_path: Path):
    if not EMOJI.is_dir():
        pytest.skip("the drawn pictures (../shared/data/emoji) aren't here")
    data = {"kind": "tars", "path": EMOJI / "emoji-0007.tar", "size": 16, "text": "keywords", "label": "style"}
    train, _ = read(data, tmp_path)
    assert len(train) > 500
    assert set(train.classes) <= {"noto", "fluent3d", "fluentcolor", "fluentflat", "blobmoji"}
    assert all(isinstance(c, str) for row in train.captions for c in row)
    assert np.median(train.pictures[:, 0, 0]) == 255  # transparency lies on white
