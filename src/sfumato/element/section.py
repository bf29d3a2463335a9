"""Sections of YAML files: what can be said there, in which ranges, and what holds when nothing is said."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from sfumato.element.name_and_options import name_and_options

Positive = Annotated[int, Field(gt=0, le=1_000_000_000)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Few = Annotated[int, Field(gt=0, le=1000)]
"""Layers, heads, pictures of a sheet: what nobody has thousands of."""
Width = Annotated[int, Field(gt=0, le=65_536)]
"""Channels of a network."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0)]


def _named(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name, options = name_and_options(value) if ":" in value else (value, {})
    return {**options, "kind": name}


Named = BeforeValidator(_named)
"""Beside a union of sections: a kind's name alone stands for its defaults, `lora:rank=4,dora=true` for some of its
own."""


class Section(BaseModel):
    """A part of a YAML file; refuses a key that it doesn't know and names the nearest one that it does."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.5)
                    hint = f"did you mean '{near[0]}'?" if near else f"accepted are {', '.join(cls.model_fields)}"
                    raise ValueError(f"unknown key '{key}': {hint}")
        return values


def of_kind(registry: Mapping[str, type[Section]], field: str, default: str) -> Callable[[Any], Any]:
    """Reads a field whose section is any of a registry: that which its `kind` names, `default` where it names none.

    The validator goes into a BeforeValidator; a kind that is unknown is refused with the names there are.
    """

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kind = value.get("kind", default)
        if kind not in registry:
            wrong = PydanticCustomError("kind", "must be one of {names}", {"names": ", ".join(map(repr, registry))})  # type: ignore[arg-type]
            raise ValidationError.from_exception_data(field, [InitErrorDetails(type=wrong, loc=("kind",), input=kind)])
        return registry[kind].model_validate({**value, "kind": kind})

    return read
