"""How the parts of a recipe are checked, and how what is wrong is said in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from PIL import Image
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic.dataclasses import dataclass
from typing_extensions import dataclass_transform

from sfumato.element.sentence import _element
from sfumato.picture import BadInput, Ref, keep, open_mask, open_picture
from sfumato.picture.errors import printable

T = TypeVar("T")
_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_KINDS: dict[str, Any] = {}


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def element(cls: type[T]) -> type[T]:
    """Make `cls` a part of a recipe: a frozen pydantic dataclass whose errors are one `BadInput` sentence."""
    made: Any = dataclass(frozen=True, config=_CONFIG)(cls)
    check = made.__init__

    @wraps(check)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            check(self, *args, **kwargs)
        except ValidationError as error:
            raise BadInput(sentence(error, made)) from None

    made.__init__ = __init__
    kind = made.__dataclass_fields__.get("kind")
    if kind is not None:
        _KINDS[kind.default] = made
    return made


def nearest(name: str, names: Iterable[str]) -> str:
    """`: did you mean ...?` or nothing."""
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
            accepted = field.description or accepted
            owner = field.annotation
        elif (one := _element(owner, part) or _KINDS.get(part)) is not None:
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
        return f"{where} is of the unknown kind {tag!r}{nearest(tag, names)}: accepted are {', '.join(names)}"
    if kind == "json_invalid":
        return f"not JSON ({error['ctx']['error']})"
    if kind == "too_long" or kind == "string_too_long":
        return f"{where} has {len(given):,} {'characters' if isinstance(given, str) else 'elements'}: give {accepted}"
    if not accepted:
        return f"{where}: {error['msg'][0].lower()}{error['msg'][1:]}, not {_shown(given)}"
    return f"{where} is {_shown(given)}: give {accepted}"


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float | str):
        return printable(repr(value), 60)
    return f"a {type(value).__name__}"


def one_of(names: tuple[str, ...]) -> BeforeValidator:
    """A string must be one of `names`; anything else is left to the field's type."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and value not in names:
            raise ValueError(
                f"{printable(value, 60)!r} is unknown{nearest(value, names)}: accepted are {', '.join(names)}"
            )
        return value

    return BeforeValidator(check)


def refuse_paths(data: Any) -> Any:
    """A dict is what JSON gives: a path in it may be a stranger's, and would be read from this machine."""
    if isinstance(data, dict):
        for key in ("picture", "mask", "other"):
            if data.get(key) is not None and not isinstance(data[key], dict | Ref):
                raise ValueError(f"{key} must be a kept picture here ({{sha256, width, height}}), never a path")
    return data


def _whole(value: Any) -> Any:
    return value.__index__() if hasattr(value, "__index__") and not isinstance(value, bool) else value


def _real(value: Any) -> Any:
    return float(value) if hasattr(value, "__float__") and not isinstance(value, bool) else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _kept(door: Callable[[Any], Image.Image]) -> BeforeValidator:
    def check(value: Any, info: ValidationInfo) -> Any:
        if value is None or isinstance(value, Ref | dict) or info.mode == "json":
            return value
        return keep(door(value))

    return BeforeValidator(check)


if TYPE_CHECKING:
    Class = str | int
    Whole = int
    Real = float
    Listed = tuple[T, ...]
    Pair = tuple[float, float]
    Box = tuple[int, int, int, int]
    Kept = Any  # in: a path, bytes, a PIL image, an array or a Ref; afterwards always a Ref
    KeptMask = Any
else:
    Whole = Annotated[int, BeforeValidator(_whole)]
    Real = Annotated[float, BeforeValidator(_real)]
    Listed = Annotated[tuple[T, ...], BeforeValidator(_tuple)]
    Pair = Annotated[tuple[Real, Real], BeforeValidator(_tuple)]
    Box = Annotated[tuple[Whole, Whole, Whole, Whole], BeforeValidator(_tuple)]
    Kept = Annotated[Ref, _kept(open_picture)]
    KeptMask = Annotated[Ref, _kept(open_mask)]
    Class = Annotated[str, Field(min_length=1, max_length=200)] | Annotated[Whole, Field(ge=0, lt=1_000_000)]
