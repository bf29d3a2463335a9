"""The store of input pictures: files as they came, closed to others, and nothing that keeps an edit from being made."""

import io
import os
import stat
import warnings

import numpy as np
import pytest
from PIL import Image

from sfumato.picture import (
    BadInput,
    PictureWarning,
    Ref,
    fetch,
    keep,
    keep_from,
    open_mask,
    open_picture,
    original,
    pixels_hash,
    prune,
    store,
    stored,
)

COLOURS = np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8)
PICTURE = Image.fromarray(COLOURS)


def refused(call, *arguments) -> str:
    with pytest.raises(BadInput) as caught:
        call(*arguments)
    return str(caught.value)


def encoded(kind: str, image: Image.Image = PICTURE, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(store, "_memory", {})
    monkeypatch.setattr(store, "_told", set())
    return tmp_path / "home"


def files(home) -> list:
    return [path for path in home.rglob("*") if path.is_file()]


def test_the_store_gives_back_what_it_keeps(home):
    ref = keep(PICTURE)
    assert ref == keep(PICTURE) == Ref(pixels_hash(PICTURE)[7:], 40, 24)
    assert np.array_equal(np.asarray(fetch(ref)), COLOURS)
    mask = PICTURE.convert("L")
    assert np.array_equal(np.asarray(fetch(keep(mask)).convert("L")), np.asarray(mask))
    assert len(files(home)) == 2


def test_the_store_refuses_what_is_absent_or_changed_and_mends_it(home):
    ref = keep(PICTURE)
    (file,) = files(home)
    for content in (b"", b"junk", file.read_bytes()[:-40]):
        file.write_bytes(content)
        assert "give the picture again" in refused(fetch, ref)
    Image.new("RGB", (40, 24)).save(file)
    assert "give the picture again" in refused(fetch, ref)
    assert keep(PICTURE) == ref
    assert np.array_equal(np.asarray(fetch(ref)), COLOURS)
    assert "is not in" in refused(fetch, Ref("0" * 64, 4, 4))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_is_kept_byte_for_byte(tmp_path, home, kind):
    data = encoded(kind)
    (tmp_path / "a").write_bytes(data)
    expected = open_picture(data)
    for source in (tmp_path / "a", str(tmp_path / "a"), data, bytearray(data)):
        ref = keep_from(source)
        assert ref == Ref(pixels_hash(expected)[7:], 40, 24)
        assert original(ref) == data
        assert np.array_equal(np.asarray(fetch(ref)), np.asarray(expected))
    (kept,) = files(home)
    assert kept.read_bytes() == data


def test_a_file_takes_the_place_of_its_pixels_and_not_of_another_file(home):
    ref = keep(PICTURE)
    plain, said = encoded("PNG", compress_level=1), encoded("PNG", exif=_exif("mine"))
    assert keep_from(plain) == keep_from(said) == ref
    assert len(files(home)) == 2
    assert original(ref) == said
    os.utime(next(path for path in files(home) if path.read_bytes() == said), (1, 1))
    assert keep_from(plain) == keep(PICTURE) == ref
    assert original(ref) == plain
    assert len(files(home)) == 2


def _exif(words: str) -> Image.Exif:
    exif = Image.Exif()
    exif[0x8298] = words
    return exif


def test_masks_are_read_as_masks_again(home):
    """Colours count by their luminance, and a picture of the same file is another."""
    data = encoded("PNG")
    mask, picture = keep_from(data, open_mask), keep_from(data)
    assert mask.sha256 == pixels_hash(open_mask(data))[7:] != picture.sha256
    assert np.array_equal(np.asarray(fetch(mask).convert("L")), np.asarray(open_mask(data)))
    assert np.array_equal(np.asarray(fetch(picture)), COLOURS)


def test_notes_are_said_once_and_not_when_the_picture_is_fetched(home):
    data = encoded("PNG", Image.new("RGBA", (8, 8)))
    with pytest.warns(PictureWarning, match="transparent") as said:
        ref = keep_from(data)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fetch(ref).getpixel((0, 0)) == (255, 255, 255)
        keep(fetch(ref))


def test_what_a_library_of_another_version_reads_differently_is_used_and_said(home, monkeypatch):
    data = encoded("JPEG", quality=50)
    ref = keep_from(data)
    before = fetch(ref)
    reread = store.reread
    monkeypatch.setattr(store, "reread", lambda *a, **b: reread(*a, **b).point(lambda value: min(255, value + 1)))
    with pytest.warns(PictureWarning, match="another version"):
        assert np.abs(np.asarray(fetch(ref)).astype(int) - np.asarray(before)).max() == 1
    (kept,) = files(home)
    kept.write_bytes(encoded("JPEG", quality=49))
    assert "give the picture again" in refused(fetch, ref)


def test_only_the_user_may_read_what_is_kept(tmp_path, home):
    before = os.umask(0o022)
    try:
        keep_from(encoded("JPEG"))
        (file,) = files(home)
        assert [mode(path) for path in (home, home / "pictures", file.parent, file)] == [0o700] * 3 + [0o600]
        for path, open_to_all in ((home / "pictures", 0o755), (file.parent, 0o755), (file, 0o644)):  # as it was once
            path.chmod(open_to_all)
        keep_from(encoded("JPEG"))
        assert [mode(path) for path in (home / "pictures", file.parent, file)] == [0o700, 0o700, 0o600]
    finally:
        os.umask(before)


@pytest.mark.parametrize("obstacle", ["a file", "read-only"])
def test_a_home_that_takes_nothing_is_no_reason_not_to_edit(tmp_path, monkeypatch, obstacle):
    if obstacle == "a file":
        (tmp_path / "home").write_text("x")
    else:  # for root everything is allowed
        monkeypatch.setattr(
            os, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
        )
    data = encoded("JPEG")
    with pytest.warns(PictureWarning, match=r"can't be kept in SFUMATO_HOME.*redo won't find them") as said:
        ref, mask = keep_from(data), keep_from(encoded("PNG"), open_mask)
    assert len(said) == 1
    assert original(ref) == data
    assert np.array_equal(np.asarray(fetch(ref)), np.asarray(open_picture(data)))
    assert np.array_equal(np.asarray(fetch(mask).convert("L")), np.asarray(open_mask(encoded("PNG"))))


def test_a_store_of_before_is_read(home):
    """Pictures were kept as HASH.png."""
    ref = Ref(pixels_hash(PICTURE)[7:], 40, 24)
    folder = home / "pictures" / ref.sha256[:2]
    folder.mkdir(parents=True)
    PICTURE.save(folder / f"{ref.sha256}.png")
    assert np.array_equal(np.asarray(fetch(ref)), COLOURS)


def test_the_store_is_listed_and_pruned(home):
    assert stored() == prune() == []
    picture, mask = keep_from(encoded("JPEG")), keep_from(encoded("PNG"), open_mask)
    (home / "pictures" / "aa").mkdir(exist_ok=True)
    (home / "pictures" / "aa" / "notes.txt").write_text("the user's own")
    (old,) = (path for path in files(home) if path.name.startswith(picture.sha256))
    os.utime(old, (1_000_000, 1_000_000))
    assert [(each.sha256, each.size, each.mask) for each in stored()] == [
        (mask.sha256, (40, 24), True),
        (picture.sha256, (40, 24), False),
    ]
    assert stored()[1].bytes == len(encoded("JPEG"))
    assert [each.sha256 for each in prune(3600, dry_run=True)] == [picture.sha256]
    assert len(stored()) == 2
    assert [each.sha256 for each in prune(3600)] == [picture.sha256]
    assert [each.sha256 for each in stored()] == [mask.sha256]
    prune()
    assert [path.name for path in files(home)] == ["notes.txt"]
    assert "give the picture again" in refused(fetch, mask)
