"""Results like the files that they were made of: metadata, profile, density, and in JPEG the very coefficients."""

import io
import json
import struct
import warnings
from functools import cache

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin
from PIL.PngImagePlugin import PngInfo

from sfumato.picture import BadInput, PictureWarning, check_metadata, open_picture, read_metadata, save_picture

WIDTH, HEIGHT = 96, 64


def photograph(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    smooth = np.stack(
        [127 + 90 * np.sin(x / 13 + y / 31), 127 + 80 * np.cos(x / 17 - y / 9), 127 + 70 * np.sin(x / 7)], -1
    )
    noisy = smooth + np.random.default_rng(0).normal(0, 6, smooth.shape)
    noisy[20:28, 40:48] = (250, 10, 10)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def exif(orientation: int = 1) -> Image.Exif:
    found = Image.Exif()
    found[0x8298], found[0x013B], found[0x010F] = "(c) Ada 2026", "Ada", "Camera Works"
    if orientation != 1:
        found[0x0112] = orientation
    found.get_ifd(0x8769).update({0x829A: 0.01, 0xA002: WIDTH, 0xA003: HEIGHT, 0x9286: b"ASCII\0\0\0old words"})
    found.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0)})
    return found


def encoded(kind: str = "JPEG", image: Image.Image | None = None, **options) -> bytes:
    buffer = io.BytesIO()
    options = {"exif": exif(), "dpi": (300, 300), **options}
    (image or photograph()).save(buffer, kind, **options)
    return buffer.getvalue()


def edited(data: bytes) -> tuple[Image.Image, np.ndarray]:
    """The picture in `data` with its left part painted over, and where it was not: up to the two pixels into which
    readers smooth its colours."""
    image = open_picture(data)
    image.paste((30, 200, 40), (0, 0, 16, image.height))
    outside = np.ones((image.height, image.width), bool)
    outside[:, :18] = False
    return image, outside


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PictureWarning)
        return save_picture(*arguments, **options)


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize(("quality", "share", "largest"), [(75, 0, 0), (90, 0.002, 1), (95, 0.06, 3)])
def test_pixels_that_were_not_edited_keep_their_coefficients(tmp_path, sampling, quality, share, largest):
    """With tables of steps from 3 up every pixel is the same; with finer ones a few round to a neighbour. By way of RGB
    it was 40 to 90 % of the pixels, by up to 52 levels."""
    data = encoded(quality=quality, subsampling=sampling)
    image, outside = edited(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if share or sampling else "error")
        save_picture(image, tmp_path / "a.jpg", like=data)
    off = np.abs(np.asarray(open_picture(tmp_path / "a.jpg")).astype(int) - np.asarray(open_picture(data))).max(-1)
    assert (off[outside] > 0).mean() <= share
    assert off[outside].max() <= largest
    assert np.abs(np.asarray(open_picture(tmp_path / "a.jpg"))[:, :8].astype(int) - (30, 200, 40)).max() <= 8
    with Image.open(tmp_path / "a.jpg") as file, Image.open(io.BytesIO(data)) as before:
        assert file.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(file) == sampling


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("size", [(93, 61), (97, 65), (33, 80), (32, 9)])
def test_blocks_that_the_edge_cuts_keep_their_coefficients_too(tmp_path, sampling, size):
    """What is stored beyond the edge is decoded and encoded with them."""
    data = encoded(image=photograph(*size), quality=75, subsampling=sampling)
    image, outside = edited(data)
    quietly(image, tmp_path / "a.jpg", like=data)
    assert open_picture(tmp_path / "a.jpg").size == size
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a.jpg"))[outside], np.asarray(image)[outside])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_jpeg_is_turned_once_and_keeps_its_pixels(tmp_path, orientation):
    data = encoded(quality=75, subsampling=2, exif=exif(orientation))
    image, outside = edited(data)
    quietly(image, tmp_path / "a.jpg", like=data)
    assert 0x0112 not in Image.open(tmp_path / "a.jpg").getexif()
    off = np.abs(np.asarray(open_picture(tmp_path / "a.jpg")).astype(int) - np.asarray(open_picture(data))).max(-1)
    assert off[outside].max() <= 3


def test_how_far_pixels_are_off_is_said(tmp_path):
    data = encoded(quality=95, image=photograph(93, 61))
    with pytest.warns(
        PictureWarning, match=r"is a JPEG: of the pixels that were not edited, [\d.]+% differ.*png or"
    ) as said:
        save_picture(edited(data)[0], tmp_path / "a.jpg", like=data)
    assert len(said) == 1
    image = Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3))  # a new picture: nothing to compare
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_picture(image, tmp_path / "b.jpg", like=data)
        save_picture(open_picture(data).resize((32, 32)), tmp_path / "b.jpg", like=data)
        save_picture(edited(data)[0], tmp_path / "b.png", like=data)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_author_copyright_camera_place_and_density_are_taken_over(tmp_path, kind, name):
    data = encoded(kind, exif=exif(6).tobytes())
    image, _ = edited(data)
    quietly(image, tmp_path / name, like=data, parameters="new words\nSteps: 3", recipe_json="{}")
    with Image.open(tmp_path / name) as file:
        found = file.getexif()
        assert (found[0x8298], found[0x013B], found[0x010F]) == ("(c) Ada 2026", "Ada", "Camera Works")
        assert 0x0112 not in found
        inner = found.get_ifd(0x8769)
        assert (float(inner[0x829A]), inner[0xA002], inner[0xA003]) == (0.01, *image.size)
        assert [float(part) for part in found.get_ifd(0x8825)[2]] == [52, 30, 0]
        if kind != "WEBP" and name != "a.webp":  # which know no density
            assert np.allclose(file.info["dpi"], 300, atol=0.5)
    assert read_metadata(tmp_path / name)["parameters"] == "new words\nSteps: 3"
    if name != "a.jpg":
        assert np.array_equal(np.asarray(open_picture(tmp_path / name)), np.asarray(image))


def test_texts_of_a_png_and_iptc_of_a_jpeg_name_the_owner_too(tmp_path):
    text = PngInfo()
    text.add_text("Copyright", "(c) Ada")
    save_picture(photograph(), tmp_path / "a.jpg", like=encoded("PNG", exif=b"", pnginfo=text))
    assert Image.open(tmp_path / "a.jpg").getexif()[0x8298] == "(c) Ada"
    iptc = b"\x1c\x02\x74\0\x07(c) Ada"
    resources = b"8BIM\x04\x0c\0\0\0\0\0\x04old!" + b"8BIM\x04\x04\0\0\0\0\0\x0c" + iptc
    segment = b"Photoshop 3.0\0" + resources
    data = encoded(extra=b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment, comment=b"by Ada")
    quietly(edited(data)[0], tmp_path / "b.jpg", like=data)
    with Image.open(tmp_path / "b.jpg") as file:
        assert file.info["photoshop"] == {0x0404: iptc}  # not the thumbnail, 0x040C
        assert file.info["comment"] == b"by Ada"


def test_the_thumbnail_of_another_picture_is_not_taken_over(tmp_path):
    small = encoded(image=photograph(16, 16), exif=b"")
    first = exif().tobytes()
    body = bytearray(first[6:])  # a second directory behind the first, with the thumbnail
    order = ">" if body[:2] == b"MM" else "<"
    count, at = struct.unpack_from(order + "H", body, 8)[0], len(body)
    struct.pack_into(order + "I", body, 10 + 12 * count, at)
    place = struct.pack(order + "HHHIIHHIII", 2, 0x0201, 4, 1, at + 30, 0x0202, 4, 1, len(small), 0)
    data = encoded(exif=first[:6] + bytes(body) + place + small)
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(ExifTags.IFD.IFD1)
    quietly(edited(data)[0], tmp_path / "a.jpg", like=data)
    assert not Image.open(tmp_path / "a.jpg").getexif().get_ifd(ExifTags.IFD.IFD1)
    assert small[-60:-2] not in (tmp_path / "a.jpg").read_bytes()


@cache
def profile(swapped: bool) -> bytes:
    """sRGB, or a profile of other primaries."""
    found = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if not swapped:
        return found
    at = {found[132 + 12 * i : 136 + 12 * i]: 132 + 12 * i for i in range(found[131])}
    data = bytearray(found)
    data[at[b"rXYZ"] : at[b"rXYZ"] + 4], data[at[b"bXYZ"] : at[b"bXYZ"] + 4] = b"bXYZ", b"rXYZ"
    return bytes(data)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("other", [False, True])
def test_profiles_are_taken_over_where_the_pixels_stay_right(tmp_path, name, other):
    """sRGB everywhere; another one in JPEG, where the unedited pixels stay in it. The colours are right in all."""
    data = encoded(icc_profile=profile(other), quality=75)
    image, outside = edited(data)
    quietly(image, tmp_path / name, like=data)
    with Image.open(tmp_path / name) as file:
        assert file.info.get("icc_profile") == (None if other and name != "a.jpg" else profile(other))
    seen = np.asarray(open_picture(tmp_path / name)).astype(int)
    assert np.abs(seen - np.asarray(image))[outside].max() == 0
    assert np.abs(seen[:, :8] - (30, 200, 40)).max() <= (0 if name != "a.jpg" else 10)


def test_a_jpeg_of_several_pictures_gives_one(tmp_path):
    data = encoded("MPO", save_all=True, append_images=[photograph().rotate(90)], quality=75)
    image, outside = edited(data)
    quietly(image, tmp_path / "a.jpg", like=data)
    with Image.open(tmp_path / "a.jpg") as file:
        assert file.format == "JPEG"
        assert file.getexif()[0x8298] == "(c) Ada 2026"
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a.jpg"))[outside], np.asarray(image)[outside])


@pytest.mark.parametrize("image", [photograph().convert("L"), photograph().convert("CMYK")])
def test_jpegs_of_greys_and_inks_give_colours(tmp_path, image):
    data = encoded(image=image)
    quietly(edited(data)[0], tmp_path / "a.jpg", like=data)
    with Image.open(tmp_path / "a.jpg") as file:
        assert file.mode == "RGB"
        assert file.getexif()[0x8298] == "(c) Ada 2026"


def test_metadata_that_will_not_fit_is_refused_before_the_work(tmp_path):
    recipe = json.dumps("word " * 12_500)
    for name, fits in (("a.png", True), ("a.webp", True), ("a.jpg", False)):
        if fits:
            check_metadata(tmp_path / name, recipe, "x" * 40_000)
        else:
            for given in ((recipe, None), (None, "x" * 33_000)):
                with pytest.raises(BadInput, match=r"save as \.png"):
                    check_metadata(tmp_path / name, *given)
    check_metadata(tmp_path / "a.jpg", recipe[:50_000], "x" * 10_000, like=encoded())
    assert list(tmp_path.iterdir()) == []


def test_a_camera_s_own_notes_make_room(tmp_path):
    found = exif()
    found.get_ifd(0x8769)[0x927C] = bytes(60_000)
    data = encoded(exif=found.tobytes())
    for words, kept in (("x", True), ("x" * 5000, False)):
        quietly(edited(data)[0], tmp_path / "a.jpg", like=data, parameters=words)
        inner = Image.open(tmp_path / "a.jpg").getexif().get_ifd(0x8769)
        assert (0x927C in inner) is kept
        assert read_metadata(tmp_path / "a.jpg")["parameters"] == words


@pytest.mark.parametrize("junk", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + b"\xff" * 40])
def test_a_broken_exif_costs_nothing(tmp_path, junk):
    data = encoded(exif=junk)
    quietly(edited(data)[0], tmp_path / "a.jpg", like=data, parameters="words")
    assert read_metadata(tmp_path / "a.jpg")["parameters"] == "words"


@pytest.mark.parametrize("extension", ["jpg", "webp", "png"])
def test_a_photograph_without_a_place_gives_a_result_without_one(tmp_path, extension):
    """An empty block of GPS would look like a hidden one."""
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "(c) Ann"
    Image.new("RGB", (16, 16), "red").save(tmp_path / "a.jpg", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_picture(Image.new("RGB", (16, 16), "blue"), tmp_path / f"b.{extension}", like=tmp_path / "a.jpg")
    found = Image.open(tmp_path / f"b.{extension}").getexif()
    assert found[ExifTags.Base.Copyright] == "(c) Ann"
    assert 0x8825 not in found
