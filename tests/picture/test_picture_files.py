"""The door out: whole files or none, with their metadata."""

import errno
import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sfumato.picture import (  # fmt: skip
    BadInput,
    PictureWarning,
    check_size,
    check_writable,
    numbered_paths,
    open_picture,
    pixels_hash,
    read_metadata,
    roomy,
    save_picture,
    write_atomically,
)
from sfumato.picture.errors import escaped_json

COLOURS = np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8)
PICTURE = Image.fromarray(COLOURS)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def refused(call, *arguments, **options) -> str:
    with pytest.raises(BadInput) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.webp", "deep/er/a.png"])
def test_png_and_webp_keep_every_pixel(tmp_path, name):
    save_picture(PICTURE, tmp_path / name)
    assert np.array_equal(np.asarray(open_picture(tmp_path / name)), COLOURS)
    assert read_metadata(tmp_path / name) == {"format": name[-4:].strip(".").upper(), "width": 40, "height": 24}


def test_jpeg_is_near(tmp_path):
    smooth = np.add.outer(np.arange(64), np.arange(64))[:, :, None].repeat(3, 2).astype(np.uint8)
    for name in ("a.jpg", "a.jpeg"):
        save_picture(smooth, tmp_path / name)
        assert np.abs(np.asarray(open_picture(tmp_path / name)).astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
@settings(max_examples=25, deadline=None)
@given(parameters=TEXT.filter(bool), prompt=TEXT)
def test_metadata_comes_back_as_it_was(tmp_path_factory, name, parameters, prompt):
    path = tmp_path_factory.getbasetemp() / name
    recipe = json.dumps({"prompt": prompt, "markup": "</sfumato:recipe>&amp;"}, ensure_ascii=False)
    save_picture(PICTURE, path, recipe_json=recipe, parameters=parameters)
    found = read_metadata(path)
    assert (found["recipe"], found["parameters"]) == (recipe, parameters)


def test_other_tools_find_the_parameters(tmp_path):
    """PNG: a text chunk `parameters`. JPEG: UserComment, UNICODE, big-endian UTF-16, as A1111 writes and reads it."""
    save_picture(PICTURE, tmp_path / "a.png", parameters="a prompt\nSteps: 20")
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["parameters"] == "a prompt\nSteps: 20"
    save_picture(PICTURE, tmp_path / "a.jpg", parameters="ä prompt\nSteps: 20")
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif().get_ifd(0x8769)[0x9286] == b"UNICODE\0" + "ä prompt\nSteps: 20".encode("utf-16-be")


def test_comments_of_other_writers(tmp_path):
    for body in (b"UNICODE\0" + "Steps: 20".encode("utf-16-le"), b"ASCII\0\0\0Steps: 20", bytes(8) + b"Steps: 20"):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = body
        PICTURE.save(tmp_path / "a.jpg", exif=exif)
        assert read_metadata(tmp_path / "a.jpg")["parameters"] == "Steps: 20"


def test_long_prompts_fit_png_and_webp_but_not_jpeg(tmp_path):
    long = "word " * 20_000
    for name in ("a.png", "a.webp"):
        save_picture(PICTURE, tmp_path / name, recipe_json=json.dumps(long), parameters=long)
        assert read_metadata(tmp_path / name)["parameters"] == long
    assert "save as .png" in refused(save_picture, PICTURE, tmp_path / "a.jpg", parameters=long)
    assert "save as .png" in refused(save_picture, PICTURE, tmp_path / "a.jpg", recipe_json=json.dumps(long))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.webp"]


def test_reading_metadata_of_bad_files(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    for source in (tmp_path / "a.png", tmp_path, tmp_path / "none.png", b""):
        refused(read_metadata, source)
    save_picture(PICTURE, tmp_path / "b.png", parameters="x")
    whole = (tmp_path / "b.png").read_bytes()
    refused(read_metadata, whole[: len(whole) // 2])


def test_extensions_and_obstacles(tmp_path):
    for name in ("a", "a.gif", "a.png.tmp", ".png", ""):
        assert re.search(r"\.png, \.jpg, \.jpeg or \.webp", refused(save_picture, PICTURE, tmp_path / name))
    (tmp_path / "folder.png").mkdir()
    assert "folder" in refused(save_picture, PICTURE, tmp_path / "folder.png")
    (tmp_path / "file").write_text("x")
    assert "not a folder" in refused(save_picture, PICTURE, tmp_path / "file" / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert "ordinary file" in refused(save_picture, PICTURE, tmp_path / "pipe.png")
    refused(save_picture, PICTURE, tmp_path / ("x" * 300 + ".png"))
    refused(save_picture, PICTURE, tmp_path / "nul\0.png")
    assert "16383" in refused(save_picture, Image.new("RGB", (20_000, 1)), tmp_path / "a.webp")
    refused(save_picture, np.zeros((4, 4, 7)), tmp_path / "a.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.png", "pipe.png"]


def test_a_size_is_refused_before_the_work(tmp_path):
    check_size(tmp_path / "a.webp", (16_383, 2000))
    for name, size, said in (
        ("a.webp", (16_384, 1), "16383"),
        ("a.jpg", (1, 70_000), "65500"),
        ("a.png", (9000, 8000), "72.0"),
    ):
        assert said in refused(check_size, tmp_path / name, size)
    assert list(tmp_path.iterdir()) == []


def test_what_was_painted_goes_beside_a_file_that_can_t_hold_it(tmp_path):
    assert roomy(tmp_path / "a.webp", (16_383, 9)) == tmp_path / "a.webp"
    assert roomy(tmp_path / "a.png", (99_999, 9)) == tmp_path / "a.png"
    with pytest.warns(
        PictureWarning, match=r"\.webp holds at most 16383 pixels a side: 16384 x 9 is saved as .*a\.png"
    ):
        assert roomy(tmp_path / "a.webp", (16_384, 9)) == tmp_path / "a.png"
    (tmp_path / "a.png").touch()  # which may be the picture that is edited
    with pytest.warns(PictureWarning):
        assert roomy(tmp_path / "a.webp", (16_384, 9)) == tmp_path / "a-1.png"


@given(st.text(max_size=40))
def test_json_for_a_terminal_says_the_same_in_printable_characters(text):
    for value in (text, "\x1b[2J\x9b2J\u202e\ud800\U000e0001"):
        line = escaped_json(json.dumps({value: value}, ensure_ascii=False))
        assert line.isprintable()
        assert json.loads(line) == {value: value}


def test_a_folder_that_allows_no_new_files(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # for root everything is allowed
    assert "allows no new files" in refused(check_writable, tmp_path / "a.png")


def test_checking_touches_nothing(tmp_path):
    check_writable(tmp_path / "new" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_numbered_names(tmp_path):
    assert numbered_paths("g.png", 1)[0].name == "g.png"
    assert [p.name for p in numbered_paths("g.png", 3)] == ["g-0.png", "g-1.png", "g-2.png"]


def test_links_and_permissions(tmp_path):
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to("real.png")
    save_picture(PICTURE, tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert np.array_equal(np.asarray(open_picture(tmp_path / "real.png")), COLOURS)
    before = os.umask(0o027)
    try:
        save_picture(PICTURE, tmp_path / "new.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.png").stat().st_mode) == 0o640


FULL_DISK = """
import resource, signal, sys
import numpy as np
from sfumato.picture import BadInput, save_picture
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    save_picture(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8), sys.argv[1])
except BadInput as error:
    print(error)
"""


@pytest.mark.parametrize("old", [None, b"an old picture"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, old):
    path = tmp_path / "a.png"
    if old:
        path.write_bytes(old)
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} can't be written: {os.strerror(errno.EFBIG)}\n"
    assert [p.name for p in tmp_path.iterdir()] == (["a.png"] if old else [])
    assert not old or path.read_bytes() == old


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_an_error_at_any_step_leaves_nothing(tmp_path, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "write":
        resource_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource_limit[1]))
    else:
        monkeypatch.setattr(os, step, fail)
    try:
        sentence = refused(write_atomically, tmp_path / "a", bytes(1000))
    finally:
        if step == "write":
            resource.setrlimit(resource.RLIMIT_FSIZE, resource_limit)
            signal.signal(signal.SIGXFSZ, old)
    assert "can't be written" in sentence
    assert list(tmp_path.iterdir()) == []


def test_readers_never_see_half_a_file(tmp_path):
    """One thread replaces a file over and over; every read gives one of the two whole contents."""
    path, contents = tmp_path / "a", [b"a" * 200_000, b"b" * 300_000]
    write_atomically(path, contents[0])
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for content in contents:
                write_atomically(path, content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {path.read_bytes() for _ in range(200)}
    finally:
        stop.set()
        writer.join()
    assert seen <= set(contents)


def test_pixels_hash_depends_on_size_and_pixels_alone(tmp_path):
    import hashlib

    assert pixels_hash(PICTURE) == "sha256:" + hashlib.sha256(b"40x24:RGB:" + COLOURS.tobytes()).hexdigest()
    assert pixels_hash(Image.fromarray(COLOURS.reshape(40, 24, 3))) != pixels_hash(PICTURE)
    assert pixels_hash(PICTURE.convert("L")) == pixels_hash(PICTURE.convert("L").convert("RGB"))
