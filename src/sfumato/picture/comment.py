"""The texts of other writers: EXIF's UserComment, in the encodings and byte orders that occur."""

from __future__ import annotations

import unicodedata
from typing import Any

_CODES = {b"ASCII": "utf-8", b"": "utf-8", b"JIS": "iso2022_jp"}
_LOOKED_AT = 4096  # letters are enough to tell a byte order by


def user_comment(value: Any, order: str = "") -> str | None:
    """The text of an EXIF UserComment, of which the first eight bytes name the encoding; None if there is none.

    UNICODE is UTF-16: in `order` ("utf-16-le", "utf-16-be") if the caller knows it, else as a byte order mark says,
    else in the order in which it reads as text. EXIF leaves it open: cameras write their own order, A1111 the big one.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        return None
    code, body = value[:8].rstrip(b"\0 ").upper(), value[8:]
    if code == b"UNICODE":
        text = body.decode(order, "replace") if order else _utf16(body)
    else:
        text = (body if code in _CODES else value).decode(_CODES.get(code, "utf-8"), "replace")
    return text.rstrip("\0")


def _utf16(body: bytes) -> str:
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    big, little = (body.decode(order, "replace") for order in ("utf-16-be", "utf-16-le"))
    return little if _sense(little[:_LOOKED_AT]) > _sense(big[:_LOOKED_AT]) else big


def _sense(text: str) -> int:
    """How much like writing `text` is: letters of ASCII count for it, characters that are none and a mixture of many
    scripts against it. Of a text in the wrong byte order the characters lie scattered over all of Unicode."""
    scripts = {_script(character) for character in text}
    points = {"Cn": -4, "Co": -4, "Cs": -4, "Cc": -4}
    plain = sum(2 if " " <= c <= "~" or c in "\t\r\n" else points.get(unicodedata.category(c), 0) for c in text)
    return plain - 4 * text.count("\ufffd") - len(scripts)


def _script(character: str) -> int:
    """A number for the block of 256 characters; all Chinese characters are one block, and so are all Korean ones."""
    row = ord(character) >> 8
    return 0x4E if 0x34 <= row <= 0x9F else 0xAC if 0xAC <= row <= 0xD7 else row
