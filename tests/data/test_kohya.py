"""Folders and TOML files of kohya's scripts: what they say of pictures is read, and what else they say is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.data.kohya import Kohya, is_kohya
from sfumato.picture import BadInput


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for folder, level in {"3_sks dog": 10, "1_sks dog on grass": 200, "notes": 90, ".cache": 90}.items():
        (tmp_path / folder).mkdir()
        for i in range(2):
            Image.new("RGB", (24, 30), (level + i, 0, 0)).save(tmp_path / folder / f"{i}.png")
    (tmp_path / "3_sks dog" / "1.txt").write_text("a sks dog, asleep\n")
    (tmp_path / "3_sks dog" / ".hidden.png").write_bytes(b"")
    return tmp_path


def opened(path: Path):
    train, test = Kohya(kind="kohya", path=path, size=16).open(0, path.parent / "kept", 1)
    assert len(test) == 0
    return train


def test_folders_say_how_often_and_what(place):
    assert is_kohya(place)
    assert not is_kohya(place / "notes")
    found = opened(place)
    levels = found.pictures[:, 8, 8, 0].tolist()
    assert levels == [200, 201] + [10] * 3 + [11] * 3
    assert found.captions == [["sks dog on grass"]] * 2 + [["sks dog"]] * 3 + [["a sks dog, asleep"]] * 3


def test_a_toml_file_is_read_as_it_is(place):
    file = place / "dataset.toml"
    file.write_text(
        "[general]\nenable_bucket = true\ncaption_extension = '.caption'\n"
        "[[datasets]]\nresolution = 512\nbatch_size = 4\nkeep_tokens = 1\n"
        "[[datasets.subsets]]\nimage_dir = 'notes'\nnum_repeats = 2\nclass_tokens = 'sks dog'\n"
        "[[datasets.subsets]]\nimage_dir = '3_sks dog'\nshuffle_caption = true\ncaption_prefix = 'photo of'\n"
        "[[datasets.subsets]]\nimage_dir = '.cache'\nis_reg = true\n"
    )
    (place / "3_sks dog" / "0.caption").write_text("sks, red, small, wet")
    assert is_kohya(file)
    found = opened(file)
    assert found.pictures[:, 8, 8, 0].tolist() == [90, 90, 91, 91, 10, 11]
    assert found.captions[:4] == [["sks dog"]] * 4
    orders = found.captions[4]
    assert len(orders) == 8
    assert all(order.startswith("photo of sks, ") for order in orders)
    assert len({tuple(sorted(order.removeprefix("photo of ").split(", "))) for order in orders}) == 1
    assert len(set(orders)) > 1
    assert opened(file).captions == found.captions
    assert np.array_equal(opened(file).pictures, found.pictures)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[datasets", "can't be read as TOML"),
        ("[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'nowhere'", "names the folder nowhere, which isn't there"),
        ("[[datasets]]\n[[datasets.subsets]]\nnum_repeats = 2", "without image_dir"),
        ("[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'notes'\nface_crop = 1", "face_crop, which is not read"),
        ("[general]", "holds no pictures"),
    ],
)
def test_wrong_files_are_refused_in_a_sentence(place, text, words):
    (place / "bad.toml").write_text(text)
    with pytest.raises(BadInput, match=words):
        opened(place / "bad.toml")
