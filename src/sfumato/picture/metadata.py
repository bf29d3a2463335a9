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

_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
_BEGIN, _END = "<sfumato:recipe>", "</sfumato:recipe>"
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:sfumato="https://github.com/sfumato-diffusion/sfumato/ns/1.0/">'
    f"{_BEGIN}{{}}{_END}</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def png_text(recipe_json: str | None, parameters: str | None) -> PngInfo:
    """The two text chunks; latin-1 where that suffices (tEXt), else UTF-8 (iTXt)."""
    info = PngInfo()
    for key, text in (("parameters", parameters), ("sfumato", recipe_json)):
        if text is not None:
            info.add_text(key, text)
    return info


def exif_and_xmp(recipe_json: str | None, parameters: str | None) -> dict[str, bytes]:
    """Keyword arguments for Pillow's JPEG and WebP writers."""
    given: dict[str, bytes] = {}
    if parameters is not None:
        exif = Image.Exif()
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + parameters.encode("utf-16-be")
        given["exif"] = exif.tobytes()
    if recipe_json is not None:
        given["xmp"] = _XMP.format(escape(recipe_json, quote=False)).encode()
    return given


def read_metadata(path: Any) -> dict[str, Any]:
    """What stands in a picture file: `format`, `width`, `height`; if present `recipe` (JSON text) and `parameters`.

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
        return {"recipe": _as_text(texts.get("sfumato")), "parameters": _as_text(texts.get("parameters"))}
    xmp = image.info.get("xmp", b"")
    recipe = _recipe_in(xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else "")
    comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    return {"recipe": recipe, "parameters": user_comment(comment, "" if recipe is None else "utf-16-be")}


def _recipe_in(xmp: str) -> str | None:
    """Found by two searches, not by one expression, whose time would grow with the square of a stranger's file."""
    begin = xmp.find(_BEGIN)
    end = xmp.find(_END, begin)
    return None if begin < 0 or end < 0 else unescape(xmp[begin + len(_BEGIN) : end])


def _as_text(value: Any) -> str | None:
    return str(value) if isinstance(value, str) else None
