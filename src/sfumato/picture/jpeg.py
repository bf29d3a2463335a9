"""JPEG like the JPEG that a result was made of: its tables, its subsampling, its own values where nothing was edited.

A JPEG stores rounded coefficients of blocks of 8 x 8 samples of luma and, of fewer samples, of two colour differences.
Encoded once more with the same tables, a block gives the same coefficients if the encoder sees the very samples that
they stand for: so unedited pixels are handed over as samples of YCbCr, and colours in the resolution in which they are
stored, never by way of RGB.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin

from sfumato.picture.colour import turned
from sfumato.picture.original import Original, unchanged

_FULL, _WIDE, _HALF = 0, 1, 2  # 4:4:4, 4:2:2, 4:2:0 as Pillow numbers them
_SIDEWAYS = (5, 6, 7, 8)


def encoding(image: Image.Image, original: Original) -> tuple[Image.Image, dict[str, Any]]:
    """The picture to be encoded, in the colours of the original's profile, and the encoder's options.

    image: RGB, sRGB. Returns YCbCr with the original's own samples where `image` has its pixels.
    """
    file = Image.open(io.BytesIO(original.data))
    assert isinstance(file, JpegImagePlugin.JpegImageFile)
    same = unchanged(image, original.image)
    if original.transform is not None:
        image = ImageCms.applyTransform(image, original.transform) or image
    if file.layers != 3 or file.mode != "RGB" or file.info.get("adobe_transform") == 0:  # greys, inks, or RGB as it is
        return image, {"quality": 95, "subsampling": _FULL}
    sampling = JpegImagePlugin.get_sampling(file)
    options = {"qtables": _tables(file, original.orientation), "progressive": "progressive" in file.info}
    if sampling == _WIDE and original.orientation in _SIDEWAYS:
        sampling = -1  # 4:4:0, which can't be written
    options["subsampling"] = max(sampling, _FULL)
    if same is None:
        return image, options
    edited = np.asarray(image.convert("YCbCr"))
    samples = np.asarray(turned(_samples(original.data), original.orientation))
    return Image.fromarray(np.where(same[..., None], samples, edited), "YCbCr"), options


def _tables(file: JpegImagePlugin.JpegImageFile, orientation: int) -> list[list[int]]:
    """The table of each component, transposed where the picture is turned by a quarter; equal ones at the end once."""
    tables = [np.array(file.quantization[layer[3]]).reshape(8, 8) for layer in file.layer]
    if orientation in _SIDEWAYS:
        tables = [table.T for table in tables]
    found = [table.ravel().tolist() for table in tables]
    return found[:2] if found[1] == found[2] else found


def _samples(data: bytes) -> Image.Image:
    """The decoded luma and colour differences in mode YCbCr; colours that are stored coarser are repeated, not
    smoothed, so that the encoder's average is what is stored."""
    file = Image.open(io.BytesIO(data))
    assert isinstance(file, JpegImagePlugin.JpegImageFile)
    sampling, (width, height) = JpegImagePlugin.get_sampling(file), file.size
    file.draft("YCbCr", file.size)
    whole = np.array(file)
    if sampling == _HALF and min(width, height) > 1:
        file = Image.open(io.BytesIO(data))
        file.draft("YCbCr", (width // 2, height // 2))  # libjpeg shrinks luma and leaves colours as they are stored
        colours = np.asarray(file)[..., 1:].repeat(2, 0).repeat(2, 1)
        whole[..., 1:] = colours[:height, :width]
    elif sampling == _WIDE and (stored := _stored_colours(data)) is not None:
        whole[..., 1:] = stored.repeat(2, 1)[:, :width]
    return Image.fromarray(whole, "YCbCr")


def _stored_colours(data: bytes) -> np.ndarray | None:
    """The colour differences of a baseline JPEG in 4:2:2 as they are stored, (H, W / 2, 2).

    A unit there is two blocks of luma and one of each colour; declared as four components of equal size, the last two
    decode to the colours. (The second of luma is wrong, having no predecessor; it is not used.)
    """
    kept, at = b"\xff\xd8", 2
    while True:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF or length < 2 or marker in (0xC2, 0xFF):
            return None
        body, at = data[at + 4 : at + 2 + length], at + 2 + length
        if marker in (0xC0, 0xC1):
            precision, height, width, count = struct.unpack(">BHHB", body[:6])
            components = [body[6 + 3 * i : 9 + 3 * i] for i in range(count)]
            tables = [components[i][2] for i in (0, 0, 1, 2)]
            body = struct.pack(">BHHB", precision, height, (width + 1) // 2, 4)
            body += b"".join(bytes([1 + i, 0x11, table]) for i, table in enumerate(tables))
        elif marker == 0xDA:
            if body[0] != 3:
                return None
            codes = [body[2 + 2 * i] for i in (0, 0, 1, 2)]
            body = b"\4" + b"".join(bytes([1 + i, code]) for i, code in enumerate(codes)) + body[-3:]
        if marker in (0xC0, 0xC1, 0xC4, 0xDB, 0xDD, 0xDA):
            kept += bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
        if marker == 0xDA:
            break
    return 255 - np.asarray(Image.open(io.BytesIO(kept + data[at:])))[..., 2:]
