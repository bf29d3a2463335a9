"""A name and its options as they are written in one word: NAME, or NAME:key=value,key=value."""

from __future__ import annotations

import re

from sfumato.picture.errors import BadInput, printable


def name_and_options(text: str) -> tuple[str, dict[str, str]]:
    """`pag:scale=3,layers=mid+up` is "pag" and {"scale": "3", "layers": "mid+up"}; a name alone has no options.

    The name in lower case, the values as they stand. Raises BadInput where a key has no value or comes twice.
    """
    name, colon, rest = text.strip().partition(":")
    pairs = re.split(r",(?=\s*[\w]+\s*=)", rest) if colon else []
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not key or not value:
            shown = printable(repr(text), 60)
            raise BadInput(f"{shown} is not NAME:key=value,key=value: as pag:scale=3 or ddim:eta=1")
        if key in options:
            raise BadInput(f"{printable(repr(text), 60)} gives {key} twice: once is enough")
        options[key] = value
    return name.lower(), options
