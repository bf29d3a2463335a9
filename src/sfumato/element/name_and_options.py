"""A name and its options as they are written in one word: NAME, or NAME:key=value,key=value."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sfumato.picture.errors import BadInput, printable

_PAIR = re.compile(r'([^=]*)=\s*(?:"((?:[^"\\]|\\.)*)"\s*|(.*?))(?:,(?=\s*\w+\s*=)|$)', re.S)
"""A key, and its value in quotes or plain."""


def name_and_options(text: str) -> tuple[str, dict[str, str]]:
    """`pag:scale=3,layers=mid+up` is "pag" and {"scale": "3", "layers": "mid+up"}; a name alone has no options.

    The name in lower case, the values as they stand. In double quotes a value may be empty or have what would begin the
    next: `hires-fix:first_prompt="a hat, width=3"`. Raises BadInput where a key has no value or comes twice.
    """
    name, colon, rest = text.strip().partition(":")
    options: dict[str, str] = {}
    at, bad = 0, colon and not rest.strip()
    while at < len(rest) and not bad:
        pair = _PAIR.match(rest, at)
        key, quoted, plain = ("", None, "") if pair is None else pair.groups()
        key, value = key.strip(), plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if pair is None or not key or (not value and quoted is None):
            bad = True
        elif key in options:
            raise BadInput(f"{printable(repr(text), 60)} gives {key} twice: once is enough")
        else:
            options[key], at = value, pair.end()
    if bad:
        raise BadInput(f"{printable(repr(text), 60)} is not NAME:key=value,key=value: as pag:scale=3 or ddim:eta=1")
    return name.strip().lower(), options


def with_options(name: str, options: Mapping[str, str]) -> str:
    """The word that `name_and_options` reads so: its inverse."""

    def written(value: str) -> str:
        plain = value and value[0] != '"' and "," not in value and value == value.strip()
        return value if plain else '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'

    pairs = ",".join(f"{key}={written(value)}" for key, value in options.items())
    return f"{name}:{pairs}" if pairs else name
