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


def encoded_like(image: Image.Image, original: Original, metadata: dict[str, Any]) -> bytes:
    """The JPEG of `image` (RGB, sRGB), in the colours of the original's profile, with the original's tables and
    subsampling, and its own samples where `image` has its pixels."""
    file = Image.open(io.BytesIO(original.data))
    assert isinstance(file, JpegImagePlugin.JpegImageFile)
    same = unchanged(image, original.image)
    if original.transform is not None:
        image = ImageCms.applyTransform(image, original.transform) or image
    if file.layers != 3 or file.mode != "RGB" or file.info.get("adobe_transform") == 0:  # greys, inks, or RGB as it is
        return _saved(image, quality=95, subsampling=_FULL, **metadata)
    sampling = JpegImagePlugin.get_sampling(file)
    if sampling == _WIDE and original.orientation in _SIDEWAYS:
        sampling = -1  # 4:4:0, which can't be written
    options = {"qtables": _tables(file, original.orientation), "subsampling": max(sampling, _FULL), **metadata}
    progressive = "progressive" in file.info
    if same is None:
        return _saved(image, progressive=progressive, **options)
    whole = None if progressive or original.orientation != 1 else _whole_blocks(file, original.data)
    samples = np.asarray(turned(_samples(whole or original.data), original.orientation))
    rest = [(0, more - size) for more, size in zip(samples.shape, same.shape, strict=False)]
    same = np.pad(same, rest, constant_values=True)
    edited = np.pad(np.asarray(image.convert("YCbCr")), [*rest, (0, 0)])
    mixed = Image.fromarray(np.where(same[..., None], samples, edited), "YCbCr")
    data = _saved(mixed, progressive=progressive, **options)
    return data if mixed.size == image.size else _of_size(data, *image.size) or data


def _saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def _whole_blocks(file: JpegImagePlugin.JpegImageFile, data: bytes) -> bytes | None:
    """The file of the blocks at the right and lower edge as they are stored, beyond the picture's edge; None for one
    whose scans would then be others."""
    across, down = (8 * max(layer[i] for layer in file.layer) for i in (1, 2))
    return _of_size(data, -(-file.width // across) * across, -(-file.height // down) * down)


def _of_size(data: bytes, width: int, height: int) -> bytes | None:
    """A baseline JPEG of one scan with another size in its header: with the same number of blocks it is the same
    blocks. None for any other, whose scans count blocks of their own."""
    at, size = 2, 0
    while data[at] == 0xFF and data[at + 1] != 0xFF:
        if data[at + 1] in (0xC0, 0xC1):
            size = at + 5
        if data[at + 1] == 0xDA:
            whole = size and data[at + 4] == 3  # all three components in it
            return data[:size] + struct.pack(">HH", height, width) + data[size + 4 :] if whole else None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


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
