"""Texts in pictures: those of other writers, those that are too long, and how long reading them takes."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sfumato.picture import PictureWarning, open_picture, read_metadata
from sfumato.picture.bulk import shorter
from sfumato.picture.comment import user_comment
from sfumato.picture.metadata import _recipe_in

SENTENCES = [
    "a girl in a red jacket\nSteps: 20, Sampler: Euler",
    "一个女孩，红色夹克",
    "赤いジャケットの女の子、夕暮れの港",
    "빨간 재킷을 입은 소녀",
    "девушка в красной куртке",
    "κορίτσι με κόκκινο σακάκι",
    "فتاة ترتدي سترة حمراء",
    "ein Mädchen mit roter Jacke – Öl",
    "boat",
    "😀 a painting, (red:1.2)",
]


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_comments_in_utf_16_of_either_order(text, order, mark):
    assert user_comment(b"UNICODE\0" + (mark + text).encode(order)) == text
    exif, buffer = Image.Exif(), io.BytesIO()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + (mark + text).encode(order)
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=exif.tobytes())
    assert read_metadata(buffer.getvalue())["parameters"] == text


def test_other_comments():
    assert user_comment(b"JIS\0\0\0\0\0" + "港の絵".encode("iso2022_jp")) == "港の絵"
    assert user_comment(b"ASCII\0\0\0boat\0\0") == "boat"
    assert user_comment(bytes(8) + "Öl".encode()) == "Öl"
    assert user_comment(b"boat on a lake") == "boat on a lake"
    assert user_comment(b"UNICODE\0") == ""
    assert user_comment(b"UNICODE\0a") == "\ufffd"
    assert user_comment(None) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_some_text(body):
    for code in (b"UNICODE\0", b"JIS\0\0\0\0\0", b"ASCII\0\0\0", b""):
        assert isinstance(user_comment(code + body), str)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


LONG = zlib.compress(b"[0]" * 700_000)
TOO_LONG = {
    "zTXt": (chunk(b"zTXt", b"workflow\0\0" + LONG), "workflow"),
    "iTXt": (chunk(b"iTXt", b"workflow\0\1\0\0\0" + LONG), "workflow"),
    "iCCP": (chunk(b"iCCP", b"wide\0\0" + LONG), "its colour profile"),
}


@pytest.mark.parametrize("kind", TOO_LONG)
@pytest.mark.parametrize("after", [False, True])
def test_texts_of_a_png_that_are_too_long_cost_the_text_and_not_the_picture(tmp_path, kind, after):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    small = chunk(b"tEXt", b"parameters\0a boat")
    data, (long, name) = buffer.getvalue(), TOO_LONG[kind]
    at = len(data) - 12 if after else 33
    data = data[:33] + small + data[33:at] + long + data[at:]
    (tmp_path / "a.png").write_bytes(data)
    for source in (data, tmp_path / "a.png"):
        with pytest.warns(PictureWarning, match=f"more text than is read: {name}") as said:
            assert np.array_equal(np.asarray(open_picture(source)), pixels)
        assert len(said) == 1
        assert read_metadata(source)["parameters"] == "a boat"


def test_long_text_that_is_not_compressed_is_read():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    data = buffer.getvalue()
    text = "boat " * 400_000
    data = data[:33] + chunk(b"iTXt", b"parameters\0\0\0\0\0" + text.encode()) + data[33:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_picture(data)
    assert read_metadata(data)["parameters"] == text


@pytest.mark.timeout(60)
def test_a_packet_without_end_is_read_in_time_proportional_to_its_length():
    """One expression for begin and end took time with the square of the length: half an hour for this."""
    assert _recipe_in("<sfumato:recipe>" * 130_000) is None
    assert _recipe_in("</sfumato:recipe><sfumato:recipe>a &amp; b</sfumato:recipe></sfumato:recipe>") == "a & b"


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, kind)
    return buffer.getvalue()


def with_exif_in_pieces(count: int) -> bytes:
    jpeg = encoded("JPEG")
    return jpeg[:2] + (b"\xff\xe1" + struct.pack(">H", 108) + b"Exif\0\0" + b"a" * 100) * count + jpeg[2:]


def with_comments(count: int, block: bytes = b"\xffa" + b"b" * 254) -> bytes:
    gif = encoded("GIF")
    at = 13 + (3 << (gif[10] & 7) + 1 if gif[10] & 0x80 else 0)
    return gif[:at] + (b"\x21\xfe" + block + b"\0") * count + gif[at:]


@pytest.mark.parametrize(
    ("make", "said", "left"), [(with_exif_in_pieces, "EXIF", 64), (with_comments, "comments", 253)]
)
def test_more_text_than_is_read_is_not_joined(make, said, left):
    """Pillow joins pieces one by one, which takes time with the square of their number."""
    found = shorter(io.BytesIO(make(1000)))
    assert found is not None
    assert found[0].count(b"Exif\0\0" if said == "EXIF" else b"\x21\xfe\xff") == left
    with pytest.warns(PictureWarning, match=said):
        assert open_picture(make(1000)).getpixel((0, 0))[0] > 250
    assert shorter(io.BytesIO(make(3))) is None
