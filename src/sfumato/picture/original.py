"""What a result takes over from the file that it was made of: EXIF with its author and copyright, density, profile."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from sfumato.picture.colour import is_identity, orientation
from sfumato.picture.door import MAX_PIXELS, opened, reread
from sfumato.picture.errors import unsaid
from sfumato.picture.paths import path_of

ORIENTATION, ARTIST, COPYRIGHT, MAKER_NOTE = 0x0112, 0x013B, 0x8298, 0x927C
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
_WIDTH, _HEIGHT, _INTEROP = 0xA002, 0xA003, 0xA005
_LAYOUT = (*range(254, 260), 262, 266, 273, *range(277, 285), 317, 320, *range(322, 326), 338, 339, *range(512, 522),
           529, 530, 531, 532, 700, 33723, 34377, 34675, 330)  # fmt: skip
"""Tags that say how a TIFF or a thumbnail stores its pixels, or that other metadata is in: not of the result."""
_IPTC = (0x0404, 0x040A, 0x040B)
"""Photoshop's resources that are kept: IPTC, the mark of copyright, the address of its owner."""


@dataclass(frozen=True)
class Original:
    """A file that came in.

    data: its bytes. image: as `open_picture` gives it. icc: its profile, if it is one of RGB colours, and transform:
    from sRGB to it, if it is another than sRGB. exif: without what is not true of another picture of its size: the
    orientation, the thumbnail, how pixels are stored. iptc, comment: of a JPEG.
    """

    data: bytes
    format: str
    image: Image.Image
    orientation: int = 1
    exif: Image.Exif = field(default_factory=Image.Exif)
    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    transform: ImageCms.ImageCmsTransform | None = None
    iptc: bytes = b""
    comment: bytes = b""

    @classmethod
    def read(cls, source: Any) -> Original:
        """The file in `source`, a path or bytes. Raises `BadInput` as `open_picture` does."""
        data = path_of(source).read_bytes() if isinstance(source, str | os.PathLike) else bytes(source)
        with opened(data, "the original", MAX_PIXELS, unsaid) as image:
            icc, transform = _profile(image)
            exif = _exif(image)
            return cls(
                data=data,
                format=image.format or "",
                image=reread(data),
                orientation=orientation(image),
                exif=exif,
                dpi=_dpi(image),
                icc=icc,
                transform=transform,
                iptc=_iptc(image),
                comment=image.info.get("comment", b"") if image.format in ("JPEG", "MPO") else b"",
            )

    def exif_for(self, size: tuple[int, int]) -> Image.Exif:
        """The EXIF of a result of `size`; a new value that the caller may add to."""
        exif = Image.Exif()
        exif.load(self.exif.tobytes())
        inner = exif.get_ifd(EXIF_IFD)
        exif.get_ifd(GPS_IFD)
        if _WIDTH in inner or _HEIGHT in inner:
            inner[_WIDTH], inner[_HEIGHT] = size
        return exif


def _exif(image: Image.Image) -> Image.Exif:
    """Without what can't be read; the author and the copyright also where they stand in texts of a PNG."""
    exif = Image.Exif()
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = image.getexif()
        for tag, value in found.items():
            if tag not in (ORIENTATION, EXIF_IFD, GPS_IFD, *_LAYOUT):
                exif[tag] = value
        for ifd in (EXIF_IFD, GPS_IFD):
            inner = found.get_ifd(ifd).items()
            exif.get_ifd(ifd).update((tag, value) for tag, value in inner if tag != _INTEROP)
    texts = getattr(image, "text", {})
    for tag, keyword in ((ARTIST, "Author"), (COPYRIGHT, "Copyright")):
        if tag not in exif and isinstance(texts.get(keyword), str):
            exif[tag] = str(texts[keyword])
    try:
        exif.tobytes()
    except Exception:  # a value of another type than its tag's
        return Image.Exif()
    return exif


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    with contextlib.suppress(Exception):
        x, y = (float(value) for value in image.info["dpi"])
        if 0 < x < 65_000 and 0 < y < 65_000:
            return (y, x) if orientation(image) > 4 else (x, y)
    return None


def _profile(image: Image.Image) -> tuple[bytes | None, Any]:
    icc = image.info.get("icc_profile")
    if not icc or image.mode not in ("RGB", "RGBA", "RGBX", "P", "YCbCr"):
        return None, None
    try:
        profile: Any = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if profile.profile.xcolor_space.strip() != "RGB":
            return None, None
        srgb = ImageCms.createProfile("sRGB")
        if is_identity(ImageCms.buildTransform(profile, srgb, "RGB", "RGB")):
            return icc, None
        return icc, ImageCms.buildTransform(srgb, profile, "RGB", "RGB")
    except Exception:  # as at the door, a broken profile counts as none
        return None, None


def _iptc(image: Image.Image) -> bytes:
    """A segment of a JPEG with the resources that are kept, empty if there are none."""
    kept = b""
    found = image.info.get("photoshop")
    for code, data in found.items() if isinstance(found, dict) else ():
        if code in _IPTC and isinstance(data, bytes):
            kept += b"8BIM" + struct.pack(">H2xI", code, len(data)) + data + bytes(len(data) % 2)
    segment = b"Photoshop 3.0\0" + kept
    return b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment if kept and len(segment) < 65_534 else b""


def unchanged(image: Image.Image, original: Image.Image) -> np.ndarray | None:
    """Where `image` (RGB) has the original's pixels, (H, W) bool; None where they are of another size or nowhere the
    same."""
    if image.size != original.size:
        return None
    same = (np.asarray(image) == np.asarray(original)).all(-1)
    return same if same.any() else None
