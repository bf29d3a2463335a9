"""What is wrong with a value, said in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import ValidationError

from sfumato.picture.errors import printable


def nearest(name: str, names: Iterable[str]) -> str:
    """` (did you mean ...?)`, or nothing."""
    close = difflib.get_close_matches(name.lower(), list(names), 1, 0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def sentence(error: ValidationError, owner: Any, prefix: str = "") -> str:
    """The first of pydantic's errors about `owner` as one sentence: which field, what was given, what is accepted."""
    errors = error.errors(include_url=False)
    others = {e["loc"][:1] for e in errors} - {errors[0]["loc"][:1]}
    text = _sentence(errors[0], owner) + (f" (and {len(others)} more)" if others else "")
    return printable(f"{prefix}: {text}" if prefix else text, 600)


def _sentence(error: Any, owner: Any) -> str:
    kind, given = error["type"], error["input"]
    where, accepted = "", ""
    fields = list(getattr(owner, "__pydantic_fields__", {}))
    loc = list(error["loc"])
    if loc and isinstance(loc[0], int) and loc[0] < len(fields):  # an argument given by position
        loc[0] = fields[loc[0]]
    for part in loc:
        if isinstance(part, int):
            where += f"[{part}]"
        elif part in getattr(owner, "__pydantic_fields__", {}):
            where += f".{part}" if where else part
            field = owner.__pydantic_fields__[part]
            accepted = field.description or _choices(field.annotation) or accepted
            owner = field.annotation
        elif (one := _element(owner, part)) is not None:
            owner = one
        elif part == loc[-1] and kind in ("unexpected_keyword_argument", "extra_forbidden", "no_such_attribute"):
            fields = getattr(owner, "__pydantic_fields__", {})
            inside = f" in {where}" if where else f" in {getattr(owner, '__name__', 'it')}"
            return f"{part!r} is unknown{inside}{nearest(str(part), fields)}: accepted are {', '.join(fields)}"
    where = where or getattr(owner, "__name__", "it")
    if kind == "value_error":
        return f"{where}: {error['ctx']['error']}" if error["loc"] else str(error["ctx"]["error"])
    if kind in ("missing", "missing_argument"):
        return f"{where} is missing: give {accepted}" if accepted else f"{where} is missing"
    if kind == "union_tag_invalid":
        names = [name.strip(" '") for name in error["ctx"]["expected_tags"].split(",")]
        tag = str(error["ctx"]["tag"])
        if tag == "opaque":
            return f"{where} was {_own(given)}, code of somebody's own, which a recipe can't hold: give it in Python"
        return f"{where} is of the unknown kind {tag!r}{nearest(tag, names)}: accepted are {', '.join(names)}"
    if kind == "json_invalid":
        return f"not JSON ({error['ctx']['error']})"
    if kind == "too_long" or kind == "string_too_long":
        return f"{where} has {len(given):,} {'characters' if isinstance(given, str) else 'elements'}: give {accepted}"
    if not accepted:
        return f"{where}: {error['msg'][0].lower()}{error['msg'][1:]}, not {_shown(given)}"
    return f"{where} is {_shown(given)}: give {accepted}"


def _choices(annotation: Any) -> str:
    """What a field of elements takes: `Noise(), SDEdit(picture), ... or nothing`; "" of any other field."""
    parts = get_args(annotation)
    registry = next((part.registry for part in (annotation, *parts) if hasattr(part, "registry")), None)
    if registry is None:
        return ""
    calls = []
    for made in dict.fromkeys(registry[name] for name in registry):
        needed = [name for name, field in made.__pydantic_fields__.items() if field.is_required()]
        calls.append(f"{made.__name__}({', '.join(needed)})")
    return f"{', '.join(calls)}{', or nothing' if type(None) in parts else ''}"


def _element(owner: Any, kind: object) -> Any:
    """The element of that kind, of those that a field of type `owner` may hold; None if there is none."""
    registry = getattr(owner, "registry", None)
    if registry is not None:
        return registry.classes.get(kind)
    return next((found for part in get_args(owner) if (found := _element(part, kind)) is not None), None)


def _own(given: Any) -> str:
    return printable(str(given.get("name", "something")), 60) if isinstance(given, dict) else "something"


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list) and len(value) <= 4 and all(type(each) in (int, float) for each in value):
        return f"({', '.join(f'{each:g}' for each in value)})"
    if value is None or isinstance(value, bool | int | float | str):
        return printable(repr(value), 60)
    return f"a {type(value).__name__}"
