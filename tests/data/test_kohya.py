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


def test_what_comes_no_times_is_left_out(place, capsys):
    (place / "1_sks dog on grass").rename(place / "0_sks dog on grass")
    assert opened(place).pictures[:, 8, 8, 0].tolist() == [10] * 3 + [11] * 3
    assert "the pictures of 0_sks dog on grass come 0 times: they are left out" in capsys.readouterr().err
    file = place / "dataset.toml"
    subset = "[[datasets.subsets]]\nimage_dir = '{}'\nnum_repeats = {}\n"
    file.write_text("[[datasets]]\n" + subset.format("notes", 0) + subset.format("3_sks dog", 1))
    assert opened(file).pictures[:, 8, 8, 0].tolist() == [10, 11]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[datasets]\nresolution = 512", r"has no \[\[datasets\]\] of keys"),
        ("[[datasets]]\nsubsets = 3", r"has no \[\[datasets.subsets\]\] of keys"),
        ("general = 'x'", r"has no \[general\] of keys"),
        ("[[datasets]]\nbogus = 3", "says bogus, which is not read here"),
        ("[[datasets]]\nkeep_tokens = -1", "keep_tokens = -1: it is a number from 0"),
        ("[[datasets]]\ncaption_extension = 'txt'", "it begins with a dot, as .txt"),
    ],
)
def test_a_toml_file_of_another_shape_is_refused(place, text, said):
    (place / "dataset.toml").write_text(text)
    with pytest.raises(BadInput, match=said):
        opened(place / "dataset.toml")


def test_a_caption_in_another_encoding_is_refused(place):
    (place / "3_sks dog" / "1.txt").write_bytes("ein schöner Hund".encode("latin-1"))
    with pytest.raises(BadInput, match="can't be read as text in UTF-8"):
        opened(place)


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


def test_flip_aug_mirrors_what_no_caption_gives_a_side_and_keeps_the_shares(place, capsys):
    for i in range(2):
        sides = np.zeros((24, 24, 3), np.uint8)
        sides[:, 12:] = 100 + i
        Image.fromarray(sides).save(place / "notes" / f"{i}.png")
    (place / "notes" / "1.caption").write_text("sks dog, looking Left")
    file = place / "dataset.toml"
    file.write_text(
        "[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'notes'\nflip_aug = true\nclass_tokens = 'sks dog'\n"
        "[[datasets.subsets]]\nimage_dir = '1_sks dog on grass'\nnum_repeats = 3\n"
    )
    found = opened(file)
    left, right = found.pictures[:, 8, 1, 0], found.pictures[:, 8, -2, 0]
    shown = sorted(zip(left.tolist(), right.tolist(), [each[0] for each in found.captions], strict=True))
    assert shown == [
        (0, 100, "sks dog"), *[(0, 101, "sks dog, looking Left")] * 2, (100, 0, "sks dog"),
        *[(200, 200, "")] * 6, *[(201, 201, "")] * 6,
    ]  # fmt: skip
    assert "1 of 2 pictures are not mirrored" in capsys.readouterr().err
    assert opened(file).key == found.key


def test_what_the_recipe_says_is_told_by_name(place, capsys):
    file = place / "dataset.toml"
    file.write_text(
        "[general]\nenable_bucket = true\ncolor_aug = false\n[[datasets]]\nresolution = [512, 512]\n"
        "caption_dropout_rate = 0.1\n[[datasets.subsets]]\nimage_dir = 'notes'\n"
    )
    assert len(opened(file)) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "dataset.toml" in line]
    assert "enable_bucket (buckets), resolution (size), caption_dropout_rate (dropout)" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[datasets", "can't be read as TOML"),
        ("[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'nowhere'", "names the folder nowhere, which isn't there"),
        ("[[datasets]]\n[[datasets.subsets]]\nnum_repeats = 2", "without image_dir"),
        ("[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'notes'\nface_crop = 1", "face_crop, which is not read"),
        ("[general]", "holds no pictures"),
        ("[general]\ncolor_aug = true", "color_aug, which is not done here"),
        ("[general]\nface_crop_aug_range = [1.0, 2.0]", "face_crop_aug_range, which is not done"),
        ("[general]\nnum_repeats = 'two'", "num_repeats = 'two': it is a whole number"),
        ("[general]\nflip_aug = 1", "flip_aug = 1: it is true or false"),
        ("steps = 3\n", "steps, which is not read here"),
    ],
)
def test_wrong_files_are_refused_in_a_sentence(place, text, words):
    (place / "bad.toml").write_text(text)
    with pytest.raises(BadInput, match=words):
        opened(place / "bad.toml")
