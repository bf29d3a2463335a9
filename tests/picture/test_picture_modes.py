"""Every mode and every photometric that the door knows: the same colours, or one sentence."""

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from sfumato.picture import BadInput, PictureWarning, open_mask, open_picture

ORANGE = (200, 100, 50)
GREY = 124  # its luma
SIZE = (8, 8)


def in_mode(mode: str) -> Image.Image:
    """The orange, or its grey, as Pillow holds it in that mode."""
    flat = Image.new("RGB", SIZE, ORANGE)
    if mode == "LAB":
        profiles = (ImageCms.createProfile(space) for space in ("sRGB", "LAB"))
        return ImageCms.profileToProfile(flat, *profiles, outputMode="LAB")
    if mode in ("La", "RGBa"):
        return flat.convert(mode.upper()).convert(mode)
    if mode == "PA":
        return flat.quantize(2).convert("PA")
    if mode == "P":
        return flat.quantize(2)
    if mode.startswith("I;16"):
        order = ">" if mode == "I;16B" else "<"
        return Image.frombytes(mode, SIZE, struct.pack(order + "H", GREY * 257) * 64)
    if mode == "I":
        return Image.new("I", SIZE, GREY * 257)
    if mode == "F":
        return Image.new("F", SIZE, float(GREY))
    return Image.new("1", SIZE, 1) if mode == "1" else flat.convert(mode)


GREYS = ("L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
COLOURS = ("RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "P", "PA")


@pytest.mark.parametrize("mode", [*GREYS, *COLOURS, "1"])
def test_every_mode_of_pillow_comes_in(mode):
    image = in_mode(mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen, mask = np.asarray(open_picture(image)).astype(int), np.asarray(open_mask(image)).astype(int)
    expected = (255,) * 3 if mode == "1" else (GREY,) * 3 if mode in GREYS else ORANGE
    assert np.abs(seen - expected).max() <= 1
    assert np.abs(mask - (255 if mode == "1" else GREY)).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa", "PA"])
def test_alpha_is_laid_on_white_in_every_mode_that_has_it(mode):
    half = in_mode(mode if mode != "PA" else "RGBA").convert("RGBA" if mode[0] == "R" or mode == "PA" else "LA")
    half.putalpha(0)
    with pytest.warns(PictureWarning, match="transparent"):
        seen = np.asarray(open_picture(half.convert(mode) if mode in ("La", "RGBa") else half))
    assert seen.min() == 255
    with pytest.raises(BadInput, match="transparent"):
        open_mask(half.convert(mode) if mode in ("La", "RGBa") else half)


def test_a_grey_profile_suits_grey_with_alpha():
    profile = ImageCms.ImageCmsProfile(_grey_profile()).tobytes()
    for mode in ("L", "LA"):
        image = Image.new(mode, SIZE, GREY if mode == "L" else (GREY, 255))
        buffer = io.BytesIO()
        image.save(buffer, "PNG", icc_profile=profile)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert open_picture(buffer.getvalue()).getpixel((0, 0))[0] > GREY + 20  # gamma 1 is brighter


def _grey_profile() -> io.BytesIO:
    """A profile of greys of gamma 1: the header, and the tags desc, wtpt and kTRC."""
    desc = b"desc" + bytes(4) + struct.pack(">I", 2) + b"g\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)
    tags, table, at = [desc, white, curve], b"", 128 + 4 + 36
    for name, data in zip((b"desc", b"wtpt", b"kTRC"), tags, strict=True):
        table += struct.pack(">4sII", name, at, len(data))
        at += len(data)
    body = struct.pack(">I", 3) + table + b"".join(tags)
    head = struct.pack(
        ">I4sI4s4s4s12s4s", 128 + len(body), b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ ", bytes(12), b"acsp"
    )
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return io.BytesIO(head.ljust(128, b"\0") + body)


def tiff(photometric, bits, pixel, order="<", *, form=1, extra=None, more=()) -> bytes:
    """An uncompressed TIFF of 8 x 8 pixels: `pixel` are the bytes of all of them."""
    tags = [(256, [8]), (257, [8]), (258, bits), (259, [1]), (262, [photometric]), (277, [len(bits)]), (278, [8]),
            (339, [form] * len(bits)), (273, [0]), (279, [len(pixel)]), *more]  # fmt: skip
    tags += [(338, [extra])] if extra is not None else []
    at, entries, body = 8 + 2 + 12 * len(tags) + 4, b"", b""
    end = at + sum(2 * len(values) for _, values in tags if len(values) > 2)
    for tag, values in sorted(tags):
        data = struct.pack(order + "H" * len(values), *([end] if tag == 273 else values))
        if len(data) > 4:
            data, body = struct.pack(order + "I", at + len(body)), body + data
        entries += struct.pack(order + "HHI", tag, 3, len(values)) + data.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, len(tags))
    return head + entries + bytes(4) + body + pixel


FIFTY = {  # 50 of 255 in each depth: bits, sample format, bytes of a pixel (two, of 12 bits)
    "4 bits": (4, 1, lambda order: b"\x33" * 32),
    "8 bits": (8, 1, lambda order: bytes([50]) * 64),
    "12 bits": (12, 1, lambda order: b"\x32\x33\x23" * 32),
    "16 bits": (16, 1, lambda order: struct.pack(order + "H", 50 * 257) * 64),
    "16 bits, signed": (16, 2, lambda order: struct.pack(order + "h", 6425) * 64),
    "32 bits": (32, 1, lambda order: struct.pack(order + "I", 50 * 257) * 64),
    "32 bits, signed": (32, 2, lambda order: struct.pack(order + "i", 50 * 257) * 64),
    "floats": (32, 3, lambda order: struct.pack(order + "f", 50 / 255) * 64),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", FIFTY)
def test_greys_of_tiff_whichever_end_is_white(depth, order):
    """A depth that Pillow can't read in one byte order is refused by name; what is read is right both ways round."""
    bits, form, pixels = FIFTY[depth]
    black_is_zero = tiff(1, [bits], pixels(order), order, form=form)
    white_is_zero = tiff(0, [bits], pixels(order), order, form=form)
    if (depth, order) in (("12 bits", ">"), ("32 bits", ">")):
        for data in (black_is_zero, white_is_zero):
            with pytest.raises(BadInput, match="a TIFF of a kind that is not read"):
                open_picture(data)
        return
    expected = 51 if depth == "4 bits" else 50
    assert open_picture(black_is_zero).getpixel((0, 0)) == (expected,) * 3
    assert open_picture(white_is_zero).getpixel((0, 0)) == (255 - expected,) * 3
    assert open_mask(white_is_zero).getpixel((0, 0)) == 255 - expected


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiffs_of_several_channels(order):
    def shorts(*values):
        return struct.pack(order + "H" * len(values), *(257 * value for value in values)) * 64

    def seen(data):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return np.abs(np.array(open_picture(data).getpixel((0, 0))) - ORANGE).max()

    assert seen(tiff(2, [8] * 3, bytes(ORANGE) * 64, order)) == 0
    assert seen(tiff(2, [16] * 3, shorts(*ORANGE), order)) == 0
    assert seen(tiff(2, [16] * 4, shorts(*ORANGE, 255), order, extra=1)) == 0
    assert seen(tiff(5, [8] * 4, bytes([55, 155, 205, 0]) * 64, order)) == 0
    assert seen(tiff(8, [8] * 3, bytes([137, 37, 45]) * 64, order)) <= 3
    assert seen(tiff(2, [8] * 4, bytes([*ORANGE, 0]) * 64, order)) == 0, "nothing says that the fourth is alpha"
    for photometric, expected in ((1, 50), (0, 205)):
        image = open_picture(tiff(photometric, [8, 8], bytes([50, 255]) * 64, order, extra=2))
        assert image.getpixel((0, 0)) == (expected,) * 3
    for refused in (tiff(6, [8] * 3, bytes([124, 86, 182]) * 64, order, more=[(530, [1, 1])]),
                    tiff(1, [8], bytes([200]) * 64, order, form=2)):  # fmt: skip
        with pytest.raises(BadInput, match=r"YCbCr|signed"):
            open_picture(refused)


@pytest.mark.parametrize("alpha", [0, 255, 128])
def test_alpha_of_a_bmp_that_is_0_everywhere_is_none(alpha):
    """Windows writes 32 bits a pixel and leaves the fourth byte 0."""
    data = bytes([50, 100, 200, 0]) * 63 + bytes([50, 100, 200, alpha])
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108, 8, 8, 1, 32, 3, len(data), 0, 0, 0, 0) + masks + b"BGRs" + bytes(48)
    bmp = b"BM" + struct.pack("<IHHI", 122 + len(data), 0, 0, 122) + head + data
    if alpha:
        with pytest.warns(PictureWarning, match="transparent"):
            assert open_picture(bmp).getpixel((0, 7)) == (255,) * 3
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_picture(bmp).getpixel((0, 0)) == ORANGE
        assert open_mask(bmp).getpixel((0, 0)) == GREY


def test_orientation_of_a_tiff_is_applied_once():
    stripes = np.repeat(np.arange(8, dtype=np.uint8)[:, None] * 30, 8, 1)
    turned = open_picture(tiff(1, [8], stripes.tobytes(), more=[(274, [6])]))
    assert np.array_equal(np.asarray(turned)[..., 0], np.rot90(stripes, -1))
