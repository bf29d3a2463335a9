"""Folders and tars as others make them: every caption is read or its lack is said; hidden files are not data."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from sfumato.data.folder import Folder, entries
from sfumato.data.webdataset import Tars
from sfumato.picture import BadInput

SAID = ["a red boat", 'a boat,\u2028in "blue"']
ROWS = [{"file_name": f"{i}.png", "text": text} for i, text in enumerate(SAID)]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
CSV = 'file_name,text\n0.png,a red boat\n1.png,"a boat,\u2028in ""blue"""\n'


def listing(folder):
    """The pictures of a folder, and the captions of each."""
    found = entries(folder)
    return [entry.path for entry in found], [entry.captions("text") for entry in found]


def pictures(folder: Path, *names: str) -> Path:
    for name in names or ("0.png", "1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (9, 0, 0)).save(folder / name)
    return folder


@pytest.mark.parametrize("below", [".", "train", "a/b"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
@pytest.mark.parametrize(("name", "text"), [("metadata.jsonl", JSONL), ("metadata.csv", CSV)])
def test_captions_are_read_wherever_datasets_reads_them(tmp_path, name, text, begin, below):
    folder = pictures(tmp_path / below)
    (folder / name).write_text(begin + text, encoding="utf-8")
    files, captions = listing(tmp_path)
    assert [path.relative_to(folder).name for path in files] == ["0.png", "1.png"]
    assert captions == [[text] for text in SAID]


def test_windows_lines_and_a_mark_at_the_beginning_of_a_txt_are_no_words(tmp_path):
    pictures(tmp_path)
    (tmp_path / "0.txt").write_bytes(b"\xef\xbb\xbfa red boat\r\n\r\na boat\r\n")
    assert listing(tmp_path)[1] == [["a red boat", "a boat"], [""]]


def test_two_tables_of_two_folders_are_one_set_and_what_they_leave_out_is_said(tmp_path, capsys):
    for name in ("a", "b"):
        (pictures(tmp_path / name) / "metadata.jsonl").write_text(JSONL, encoding="utf-8")
    pictures(tmp_path, "c/0.png")
    files, captions = listing(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    assert captions == [[text] for text in SAID * 2]
    assert "1 pictures that its metadata don't list are left out" in capsys.readouterr().err
    (tmp_path / "a" / "metadata.csv").write_text(CSV, encoding="utf-8")
    with pytest.raises(BadInput, match=r"both metadata\.jsonl and metadata\.csv"):
        listing(tmp_path)


@pytest.mark.parametrize(
    ("row", "said"), [("x.png,a", "line 3 names x.png, which isn't there"), ('"', "can't be read")]
)
def test_a_wrong_row_of_a_csv_is_named(tmp_path, row, said):
    pictures(tmp_path)
    (tmp_path / "metadata.csv").write_text(f"file_name,text\n0.png,a\n{row}\n")
    with pytest.raises(BadInput, match=said):
        listing(tmp_path)


def test_no_caption_at_all_is_refused_where_words_are_learnt(tmp_path):
    pictures(tmp_path)
    (tmp_path / "metadata.jsonl").write_text(JSONL.replace('"text"', '"prompt"'), encoding="utf-8")
    source, _ = Folder(kind="folder", path=tmp_path, size=16).open(1, tmp_path / "cache", 1)
    with pytest.raises(BadInput, match=r"no picture has a caption.*'text' .* have file_name, prompt \(data\.text\)"):
        source.need_captions()
    source, _ = Folder(kind="folder", path=tmp_path, size=16, text="prompt").open(1, tmp_path / "cache", 1)
    source.need_captions()


def test_some_captions_are_enough_and_the_others_are_counted(tmp_path, capsys):
    pictures(tmp_path, *(f"{i}.png" for i in range(4)))
    (tmp_path / "0.txt").write_text("a boat")
    source, _ = Folder(kind="folder", path=tmp_path, size=16).open(1, tmp_path / "cache", 1)
    source.need_captions()
    assert "2 of 3 pictures have no caption" in capsys.readouterr().err


def test_hidden_files_and_folders_are_not_data(tmp_path):
    hidden = (".ipynb_checkpoints/0.png", "__MACOSX/0.png", "cat/._0.png", "cat/.cache/0.png")
    pictures(tmp_path, "cat/0.png", "dog/0.png", "dog/__0.png", *hidden)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "metadata.jsonl").write_text(JSONL, encoding="utf-8")
    data = Folder(kind="folder", path=tmp_path, size=16, label="folder")
    train, test = data.open(1, tmp_path / ".kept", 1)
    assert (train.classes, len(train) + len(test)) == (("cat", "dog"), 3)


def test_hidden_files_of_a_tar_are_not_data_and_marks_no_words(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "PNG")
    files = {f"./a/{i}.png": buffer.getvalue() for i in range(3)}
    files |= {"./.ipynb_checkpoints/9.png": buffer.getvalue(), "__MACOSX/a/8.png": b"x", "a/._0.png": b"x"}
    files |= {"./a/0.txt": b"\xef\xbb\xbfa boat", "./a/1.json": b'\xef\xbb\xbf{"text": "a cat"}'}
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    train, _ = Tars(kind="tars", path=tmp_path / "a.tar", size=16).open(1, tmp_path / "cache", 1)
    assert train.captions == [["a boat"], ["a cat"]]
