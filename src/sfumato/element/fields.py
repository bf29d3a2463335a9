"""The types of an element's fields: numbers, lists, intervals, pictures that are kept, names of models.

JSON may be a stranger's: there a path would be read from this machine and a Hub id fetched, so both are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from PIL import Image
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from sfumato.element.sentence import nearest
from sfumato.picture import Ref, keep_from, open_mask, open_picture
from sfumato.picture.errors import printable

T = TypeVar("T")
INTERVAL = "two times (low, high) with 0 <= low <= high <= 1"


def one_of(names: Collection[str]) -> BeforeValidator:
    """A string must be one of `names`, which may be a registry; anything else is left to the field's type."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and value not in names:
            raise ValueError(
                f"{printable(value, 60)!r} is unknown{nearest(value, names)}: accepted are {', '.join(names)}"
            )
        return value

    return BeforeValidator(check)


def _whole(value: Any) -> Any:
    return value.__index__() if hasattr(value, "__index__") and not isinstance(value, bool) else value


def _real(value: Any) -> Any:
    return float(value) if hasattr(value, "__float__") and not isinstance(value, bool) else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    if not 0 <= low <= high <= 1:
        raise PydanticCustomError("interval", "give {accepted}", {"accepted": INTERVAL})
    return interval


def _kept(door: Callable[[Any], Image.Image]) -> BeforeValidator:
    def check(value: Any, info: ValidationInfo) -> Any:
        if value is None or isinstance(value, Ref | dict):
            return value
        if info.mode == "json":
            raise ValueError("must be a kept picture here ({sha256, width, height}), never a path")
        return keep_from(value, door)

    return BeforeValidator(check)


def _path(value: Any) -> Any:
    """A path as the name of a folder, whole, so that it is found from everywhere."""
    return str(Path(value).expanduser().resolve()) if isinstance(value, PathLike) else value


def _at_hand(value: str, info: ValidationInfo) -> str:
    if value and info.mode == "json":
        from sfumato.zoo.find import would_be_fetched

        if would_be_fetched(value):
            raise ValueError(
                f"{printable(value, 60)!r} is not on this machine, and a recipe from outside fetches nothing: fetch it "
                "first, or give a folder or a built-in model"
            )
    return value


if TYPE_CHECKING:
    Class = str | int
    Whole = int
    Real = float
    Listed = tuple[T, ...]
    Pair = tuple[float, float]
    Interval = tuple[float, float]
    Box = tuple[int, int, int, int]
    Fractions = tuple[float, float, float, float]
    ModelName = Any  # in: a name or a path; afterwards always a str
    Kept = Any  # in: a path, bytes, a PIL image, an array or a Ref; afterwards always a Ref
    KeptMask = Any
else:
    Whole = Annotated[int, BeforeValidator(_whole)]
    Real = Annotated[float, BeforeValidator(_real)]
    Listed = Annotated[tuple[T, ...], BeforeValidator(_tuple)]
    Pair = Annotated[tuple[Real, Real], BeforeValidator(_tuple)]
    Interval = Annotated[Pair, AfterValidator(_ordered), Field(description=INTERVAL)]
    Box = Annotated[tuple[Whole, Whole, Whole, Whole], BeforeValidator(_tuple)]
    Fractions = Annotated[tuple[Real, Real, Real, Real], BeforeValidator(_tuple)]
    ModelName = Annotated[str, Field(max_length=4096), BeforeValidator(_path), AfterValidator(_at_hand)]
    Kept = Annotated[Ref, _kept(open_picture)]
    KeptMask = Annotated[Ref, _kept(open_mask)]
    Class = Annotated[str, Field(min_length=1, max_length=200)] | Annotated[Whole, Field(ge=0, lt=1_000_000)]
