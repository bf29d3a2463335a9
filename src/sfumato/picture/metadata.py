"""What is written beside the pixels: the recipe, and the `parameters` text that other tools read.

PNG: text chunks `parameters` (as A1111 writes it) and `sfumato` (the recipe as JSON), uncompressed.
JPEG, WebP: EXIF UserComment for `parameters`, an XMP packet with `sfumato:recipe` for the recipe. A JPEG segment
holds 65,533 bytes, so recipes with enormous prompts go into PNG or WebP only.
"""

from __future__ import annotations

from html import escape, unescape
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sfumato.picture.comment import user_comment
from sfumato.picture.door import MAX_PIXELS, opened
from sfumato.picture.errors import BadInput, name_of, unsaid
from sfumato.picture.original import EXIF_IFD, GPS_IFD, MAKER_NOTE, Original

_USER_COMMENT = 0x9286
_SEGMENT = 65_533
"""Bytes that a segment of a JPEG holds."""
_BEGIN, _END = "<sfumato:recipe>", "</sfumato:recipe>"
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:sfumato="https://github.com/sfumato-diffusion/sfumato/ns/1.0/">'
    f"{_BEGIN}{{}}{_END}</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def metadata(
    format: str, size: tuple[int, int], original: Original | None, recipe_json: str | None, parameters: str | None
) -> dict[str, Any]:
    """Keyword arguments for Pillow's writer of `format` ("PNG", "JPEG", "WEBP"): the recipe and the parameters of a
    picture of `size`, and what it takes over from the original."""
    exif = Image.Exif() if original is None else original.exif_for(size)
    given: dict[str, Any] = {}
    if original is not None:
        given |= {"dpi": original.dpi} if original.dpi else {}
        lossless_in_srgb = original.transform is not None and format != "JPEG"
        given |= {"icc_profile": original.icc} if original.icc and not lossless_in_srgb else {}
    if format == "PNG":
        given["pnginfo"] = _png_text(recipe_json, parameters)
        exif.get_ifd(EXIF_IFD).pop(_USER_COMMENT, None)
    elif parameters is not None:
        exif.get_ifd(EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + parameters.encode("utf-16-be")
    if format != "PNG" and recipe_json is not None:
        given["xmp"] = _XMP.format(escape(recipe_json, quote=False)).encode()
    if format == "JPEG" and original is not None:
        given |= {"extra": original.iptc, "comment": original.comment}
    written = _written(exif, _SEGMENT if format == "JPEG" else None)
    return given | ({"exif": written} if written else {})


def _written(exif: Image.Exif, longest: int | None) -> bytes:
    """Without the camera maker's own part where the whole is too long; empty if there is nothing."""
    if not (exif.get_ifd(EXIF_IFD) or exif.get_ifd(GPS_IFD) or set(exif) - {EXIF_IFD, GPS_IFD}):
        return b""
    if longest is not None and len(exif.tobytes()) > longest:
        exif.get_ifd(EXIF_IFD).pop(MAKER_NOTE, None)
    if exif.get_ifd(GPS_IFD):
        return exif.tobytes()
    placeless = Image.Exif()  # asking for the block has made an empty one
    placeless.update({tag: value for tag, value in exif.items() if tag not in (EXIF_IFD, GPS_IFD)})
    if exif.get_ifd(EXIF_IFD):
        placeless.get_ifd(EXIF_IFD).update(exif.get_ifd(EXIF_IFD))
    return placeless.tobytes()


def _png_text(recipe_json: str | None, parameters: str | None) -> PngInfo:
    """The two text chunks; latin-1 where that suffices (tEXt), else UTF-8 (iTXt)."""
    info = PngInfo()
    for key, text in (("parameters", parameters), ("sfumato", recipe_json)):
        if text is not None:
            info.add_text(key, text)
    return info


def read_metadata(path: Any) -> dict[str, Any]:
    """What stands in a picture file: `format`, `width`, `height`; if present `recipe` (JSON text) and `parameters`, and
    in PNGs of other tools `invokeai` and `comfyui` (JSON text).

    `path` is a path or the bytes of a file. The texts are as they were found: a stranger's file may say anything, and
    `Recipe.from_json` is the door for the recipe. Raises `BadInput` as `open_picture` does.
    """
    name = name_of(path)
    with opened(path, name, MAX_PIXELS, unsaid) as image:
        found: dict[str, Any] = {"format": image.format, "width": image.width, "height": image.height}
        try:
            texts = _texts(image)
        except Exception as error:
            raise BadInput(f"{name} is damaged: its metadata can't be read ({type(error).__name__})") from error
    return found | {key: text for key, text in texts.items() if text}


def _texts(image: Image.Image) -> dict[str, str | None]:
    if image.format == "PNG":
        texts: dict[str, Any] = getattr(image, "text", {})
        found = {"recipe": "sfumato", "parameters": "parameters", "invokeai": "invokeai_metadata", "comfyui": "prompt"}
        return {key: _as_text(texts.get(name)) for key, name in found.items()}
    xmp = image.info.get("xmp", b"")
    recipe = _recipe_in(xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else "")
    comment = image.getexif().get_ifd(EXIF_IFD).get(_USER_COMMENT)
    return {"recipe": recipe, "parameters": user_comment(comment, "" if recipe is None else "utf-16-be")}


def _recipe_in(xmp: str) -> str | None:
    """Found by two searches, not by one expression, whose time would grow with the square of a stranger's file."""
    begin = xmp.find(_BEGIN)
    end = xmp.find(_END, begin)
    return None if begin < 0 or end < 0 else unescape(xmp[begin + len(_BEGIN) : end])


def _as_text(value: Any) -> str | None:
    return str(value) if isinstance(value, str) else None
