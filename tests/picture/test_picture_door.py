"""The door for pictures: what comes in, how, and that everything else is one sentence."""

import io
import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from sfumato.picture import BadInput, PictureWarning, open_mask, open_picture

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)
PICTURE = Image.fromarray(COLOURS)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.asarray(open_picture(data))


def refusal(source, **options) -> str:
    with pytest.raises(BadInput) as caught:
        open_picture(source, **options)
    sentence = str(caught.value)
    assert sentence
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    assert len(sentence) < 500
    return sentence


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(kind):
    assert np.array_equal(opened(encoded(PICTURE, kind)), COLOURS)


def test_lossy_formats_are_read():
    smooth = Image.fromarray(np.full((16, 16, 3), (200, 100, 50), np.uint8))
    for kind in ("JPEG", "WEBP", "GIF"):
        assert np.abs(opened(encoded(smooth, kind)).astype(int) - (200, 100, 50)).max() <= 4


def test_the_result_is_fresh_rgb_without_metadata():
    text = PngInfo()
    text.add_text("parameters", "secret")
    image = open_picture(encoded(PICTURE, "PNG", pnginfo=text, dpi=(72, 72)))
    assert type(image) is Image.Image
    assert (image.mode, image.size, image.info) == ("RGB", (20, 12), {})
    same = open_picture(PICTURE)
    same.putpixel((0, 0), (1, 2, 3))
    assert np.array_equal(np.asarray(PICTURE), COLOURS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    turned = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a.transpose(1, 0, 2), 2), 8: np.rot90,
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(opened(encoded(PICTURE, "PNG", exif=exif)), turned(COLOURS))


def test_broken_exif_costs_nothing():
    assert np.array_equal(opened(encoded(PICTURE, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")), COLOURS)


def test_sixteen_bits_are_scaled():
    values = np.array([[0, 128, 257 * 100, 65535]], np.uint16)
    expected = np.repeat(np.array([[0, 0, 100, 255]], np.uint8)[:, :, None], 3, 2)
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(opened(encoded(Image.fromarray(values), kind)), expected)
    big_endian = Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes())
    assert np.array_equal(np.asarray(open_picture(big_endian)), expected)
    assert np.array_equal(opened(encoded(Image.fromarray(values.astype(np.int32)), "TIFF")), expected)


def test_floats_are_greys_up_to_1_or_255():
    half = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert opened(encoded(Image.fromarray(half), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    assert opened(encoded(Image.fromarray(half * 255), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    assert "finite" in refusal(encoded(Image.fromarray(half * np.nan), "TIFF"))
    assert "from -0.5" in refusal(encoded(Image.fromarray(half - 0.5), "TIFF"))
    assert "to 1000" in refusal(encoded(Image.fromarray(half * 1000), "TIFF"))


def test_palettes_greys_and_bilevel():
    palette = PICTURE.quantize(16)
    assert np.array_equal(opened(encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))
    grey = PICTURE.convert("L")
    assert np.array_equal(opened(encoded(grey, "PNG")), np.asarray(grey.convert("RGB")))
    assert set(np.unique(opened(encoded(PICTURE.convert("1"), "PNG")))) == {0, 255}


def test_cmyk_jpeg_and_tiff():
    cmyk = Image.fromarray(np.full((16, 16, 3), (255, 0, 0), np.uint8)).convert("CMYK")
    for kind in ("JPEG", "TIFF"):
        red = opened(encoded(cmyk, kind)).astype(int)
        assert np.abs(red - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white_and_said(mode):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (10, 10, 10, 255)
    rgba[0, 1] = (0, 0, 0, 0)
    rgba[1, 0] = (0, 0, 0, 128)
    rgba[1, 1] = (255, 255, 255, 255)
    image = Image.fromarray(rgba)
    if mode == "LA":
        image = image.convert("LA")
    data = encoded(image.quantize(4) if mode == "P" else image, "PNG")
    with pytest.warns(PictureWarning, match="transparent"):
        seen = np.asarray(open_picture(data))
    assert seen[..., 0].tolist() == [[10, 255], [127, 255]]


def test_a_transparent_colour_key_counts_as_transparency():
    with pytest.warns(PictureWarning, match="transparent"):
        keyed = open_picture(encoded(Image.new("RGB", (2, 2), "blue"), "PNG", transparency=(0, 0, 255)))
    assert np.asarray(keyed).min() == 255
    grey = Image.fromarray(np.array([[0, 1000]], np.uint16))
    with pytest.warns(PictureWarning, match="transparent"):
        assert np.asarray(open_picture(encoded(grey, "PNG", transparency=0)))[0, 0].tolist() == [255] * 3


def test_opaque_alpha_is_silent():
    image = PICTURE.copy()
    image.putalpha(255)
    assert np.array_equal(opened(encoded(image, "PNG")), COLOURS)


def test_animations_give_their_first_frame_and_say_so():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        with pytest.warns(PictureWarning, match="several frames"):
            assert np.asarray(open_picture(data))[0, 0].tolist() == [255, 0, 0]


def test_colour_profiles_are_converted_and_srgb_is_left_alone():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(opened(encoded(PICTURE, "PNG", icc_profile=srgb)), COLOURS)
    swapped = _matrix_profile()
    changed = opened(encoded(PICTURE, "PNG", icc_profile=swapped))
    assert np.abs(changed.astype(int) - COLOURS).max() > 20
    with pytest.warns(PictureWarning, match="profile"):
        assert np.array_equal(np.asarray(open_picture(encoded(PICTURE, "PNG", icc_profile=b"junk"))), COLOURS)
    with pytest.warns(PictureWarning, match="profile"):
        assert open_picture(encoded(PICTURE.convert("CMYK"), "TIFF", icc_profile=srgb)).mode == "RGB"


def _matrix_profile() -> bytes:
    """sRGB with its red and blue columns exchanged: a picture of which must come in with them exchanged."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {}
    for i in range(struct.unpack_from(">I", data, 128)[0]):
        name, _, _ = struct.unpack_from(">4sII", data, 132 + 12 * i)
        tags[name] = 132 + 12 * i
    data[tags[b"rXYZ"] : tags[b"rXYZ"] + 4], data[tags[b"bXYZ"] : tags[b"bXYZ"] + 4] = b"bXYZ", b"rXYZ"
    return bytes(data)


def test_arrays_come_in():
    assert np.array_equal(np.asarray(open_picture(COLOURS)), COLOURS)
    assert np.array_equal(np.asarray(open_picture(COLOURS / 255.0)), COLOURS)
    assert np.array_equal(np.asarray(open_picture(COLOURS.astype(np.uint16) * 257)), COLOURS)
    assert np.asarray(open_picture(np.eye(3, dtype=bool)))[0, 0].tolist() == [255] * 3
    assert open_picture(COLOURS[:, :, :1]).size == (20, 12)


@pytest.mark.parametrize(
    "array",
    [np.zeros(3), np.zeros((3, 4, 5)), np.zeros((0, 4, 3)), np.zeros((4, 4, 3), np.int64), np.full((4, 4), 2.0),
     np.full((4, 4), np.nan), np.zeros((2, 2), object), np.zeros((2, 2), complex)],
)  # fmt: skip
def test_other_arrays_are_refused(array):
    assert "array" in refusal(array)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF", "PostScript"),
        (b"<svg xmlns='x'/>", "SVG"),
        (b"<!doctype html>", "web page"),
        (b"PK\x03\x04rest", "zip"),
        (b"\0\0\0\x20ftypavif....", "AVIF"),
        (b"\0\0\0\x20ftypheic....", "HEIC"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff\xe0", "damaged"),
        (b"GIF89a", "damaged"),
        (b"BM" + bytes(60), "damaged"),
        (b"II*\0\x08\0\0\0\0\0", "damaged"),
        (b"RIFF\x04\0\0\0WEBP", "damaged"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, said):
    path = tmp_path / "thing.png"
    path.write_bytes(content)
    sentence = refusal(path)
    assert str(path) in sentence
    assert said in sentence
    assert said in refusal(content)


def test_paths_that_lead_nowhere(tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.png")
    assert "folder" in refusal(tmp_path)
    assert "not a file" in refusal("/dev/zero")
    assert "does not exist" in refusal(Path(__file__) / "under-a-file.png")
    assert "web address" in refusal("https://example.org/a.png")
    assert "NoneType" in refusal(None)
    refusal("with\0zero.png")
    refusal("line\nbreak.png")
    refusal("x" * 5000)
    refusal("")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_truncated_files_are_refused(tmp_path, kind):
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    path = tmp_path / "cut"
    for part in (0.1, 0.5, 0.9):
        path.write_bytes(data[: int(len(data) * part)])
        assert str(path) in refusal(path)


def png(width: int, height: int, body: bytes = b"", *, bits: int = 8, colour: int = 2) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_huge_pictures_are_refused_before_they_are_decoded():
    for side, said in ((8100, "megapixels"), (12_000, "megapixels"), (60_000, "megapixels")):
        assert said in refusal(png(side, side))
    refusal(png(0, 10))
    assert "20 x 12" in refusal(PICTURE, max_pixels=100)
    assert "20 x 12" in refusal(COLOURS, max_pixels=100)


def test_compression_bombs_in_text_and_profiles():
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    bomb = zlib.compress(bytes(80 << 20), 9)
    refusal(png(4, 4, chunk(b"zTXt", b"k\0\0" + bomb)))
    refusal(png(4, 4, chunk(b"iCCP", b"k\0\0" + bomb)))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]), st.integers(0, 2**32))
def test_mutated_files_give_a_picture_or_a_sentence(kind, seed):
    """A few bytes changed, removed or doubled: whatever Pillow raises, it comes out as `BadInput`."""
    dice = random.Random(seed)
    data = bytearray(encoded(PICTURE, kind))
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(data))
        choice = dice.randrange(4)
        if choice == 0:
            data[at] = dice.randrange(256)
        elif choice == 1:
            del data[at : at + dice.randint(1, 20)]
        elif choice == 2:
            data[at:at] = data[at : at + dice.randint(1, 20)]
        else:
            data[at : at + 4] = dice.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
        if not data:
            data = bytearray(b"\0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            seen = open_picture(bytes(data)).mode
        except BadInput as error:
            seen = str(error)
    assert seen == "RGB" or (seen and "\n" not in seen)


def test_masks_keep_their_numbers():
    grey = np.arange(240, dtype=np.uint8).reshape(12, 20)
    for source in (Image.fromarray(grey), encoded(Image.fromarray(grey), "PNG"), grey, grey / 255.0,
                   Image.fromarray(grey).convert("RGB"), np.asarray(grey, np.uint16) * 257):  # fmt: skip
        mask = open_mask(source, (20, 12))
        assert (mask.mode, mask.size) == ("L", (20, 12))
        assert np.array_equal(np.asarray(mask), grey)
    assert set(np.unique(open_mask(np.eye(4, dtype=bool)))) == {0, 255}
    assert np.asarray(open_mask(Image.new("1", (4, 4), 1))).min() == 255
    assert np.asarray(open_mask(np.zeros((4, 4), np.uint8))).max() == 0  # an empty mask is a mask


def test_masks_of_another_size_name_both():
    with pytest.raises(BadInput, match=r"20 x 12.*64 x 64"):
        open_mask(PICTURE, (64, 64))


def test_ambiguous_masks_are_refused():
    with pytest.raises(BadInput, match="transparent"):
        open_mask(Image.new("RGBA", (4, 4), (255, 255, 255, 0)))
    with pytest.raises(BadInput, match="multiply it by 255"):
        open_mask(np.eye(4, dtype=np.uint8))
