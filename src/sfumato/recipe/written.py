"""Elements of a recipe as they are written on a command line: NAME, or NAME:key=value,key=value."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, get_args

from pydantic.fields import FieldInfo

from sfumato.element import nearest
from sfumato.element.define import required
from sfumato.guide import DEFAULT as DEFAULT_GUIDANCE
from sfumato.guide import Guidance
from sfumato.names import METHODS, SAMPLERS
from sfumato.picture.errors import BadInput, printable
from sfumato.edit import Hold, PromptToPrompt, Start
from sfumato.recipe.samplers import Elements

SAMPLERS_WITH_OPTIONS: dict[str, type] = {part.kind: part for part in get_args(Elements)}


def guidances(written: list[str], scale: float | None) -> tuple[Any, ...]:
    """The guidances of `--guide` in their order, behind a classifier-free one of `scale`.

    `scale` None is the default one, unless another that moves away from no prompt is written in its place.
    """
    given = tuple(guidance(text) for text in written)
    if scale is None:
        return given if any(part.needs_null for part in given) else (*DEFAULT_GUIDANCE, *given)
    return (replace(DEFAULT_GUIDANCE[0], scale=scale), *given)


def guidance(text: str) -> Any:
    """`pag:scale=3,layers=mid+up`: the element of a name of `GUIDANCES` or of its kind.

    Raises `BadInput` for an unknown name, key or value.
    """
    name, options = _split(text)
    if name not in Guidance.registry:
        raise _unknown("--guide", name, [Guidance.registry.short(each) for each in Guidance.registry])
    return _made(f"--guide {name}", Guidance.registry[name], options)


def sampler(text: str) -> Any:
    """`ddim:eta=1`: the element of that kind; a name alone is itself. Raises `BadInput` as `guidance` does."""
    name, options = _split(text)
    if not options:
        return name
    if name not in SAMPLERS:
        raise _unknown("--sampler", name, list(SAMPLERS))
    if name not in SAMPLERS_WITH_OPTIONS:
        raise BadInput(f"--sampler {name} has no options; those that have are {', '.join(SAMPLERS_WITH_OPTIONS)}")
    return _made(f"--sampler {name}", SAMPLERS_WITH_OPTIONS[name], options)


def hold(text: str) -> Any:
    """`low-pass:factor=8`: a hold that needs no mask. Raises `BadInput` as `guidance` does."""
    name, options = _split(text)
    registry = Hold.registry
    holds = [each for each in registry if not required(registry[each])]
    if registry.full(name) not in holds:
        raise _unknown("--hold", name, holds)
    return _made(f"--hold {name}", registry[name], options)


def inversion(text: str, **given: Any) -> Any:
    """`ddim:null=10`: the start of that inversion, with the fields `given` otherwise.

    An inversion is a start that can be told what its picture shows. Raises `BadInput` as `guidance` does, and for a
    field that it has not.
    """
    name, options = _split(text)
    registry = Start.registry
    inversions = [registry.short(each) for each in registry if "shows" in registry[each].__pydantic_fields__]
    if registry.short(name) not in inversions:
        raise _unknown("--inversion", name, inversions)
    for key in given:
        if key not in registry[name].__pydantic_fields__:
            raise BadInput(f"--inversion {name} takes no --{key}: leave it out")
    return _made(f"--inversion {name}", registry[name], options, **given)


def attention(text: str, source: str) -> PromptToPrompt | None:
    """`prompt-to-prompt:self_maps=0.2,blend=hat`: how the picture of `source` is edited; None for diffedit, which does
    nothing to attention. Raises `BadInput` as `guidance` does."""
    name, options = _split(text)
    if name not in METHODS:
        raise _unknown("--method", name, list(METHODS))
    if name == PromptToPrompt.kind:
        return _made(f"--method {name}", PromptToPrompt, options, source=source)
    if options:
        raise BadInput(f"--method {name} has no options: --hold inferred has, as inferred:threshold=0.4")
    return None


def _split(text: str) -> tuple[str, dict[str, str]]:
    name, colon, rest = text.strip().partition(":")
    pairs = re.split(r",(?=\s*[\w]+\s*=)", rest) if colon else []
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not key or not value:
            raise BadInput(f"{_shown(text)} is not NAME:key=value,key=value: as pag:scale=3 or ddim:eta=1")
        if key in options:
            raise BadInput(f"{_shown(text)} gives {key} twice: once is enough")
        options[key] = value
    return name.lower(), options


def _made(what: str, element: Any, options: dict[str, str], **given: Any) -> Any:
    elsewhere = {"kind", "picture", *given}
    known = {name: field for name, field in element.__pydantic_fields__.items() if name not in elsewhere}
    for key in options:
        if key not in known:
            raise _unknown(f"{what}:", key, list(known))
    try:
        return element(**given, **{key: _value(key, text, known[key]) for key, text in options.items()})
    except BadInput as error:
        raise BadInput(f"{what}: {error}") from None


def _value(key: str, text: str, field: FieldInfo) -> Any:
    """Text as the field's default has it: two numbers as 0.2-0.8, a list as mid+up, an element by its first field."""
    default = field.default
    if isinstance(default, str) or field.is_required():
        return text
    if isinstance(default, tuple) and isinstance(next(iter(default), ""), str):
        return tuple(text.split("+"))
    if isinstance(default, tuple):
        numbers = re.fullmatch(r"([\d.]+)\s*-\s*([\d.]+)", text)
        if not numbers:
            raise BadInput(f"{key} is {_shown(text)}: give two times from 0 (clean) to 1 (noise), as 0.2-0.8")
        return tuple(map(_number, numbers.groups()))
    if hasattr(default, "__dataclass_fields__"):
        return type(default)(_number(text))
    return _number(text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _unknown(what: str, name: str, names: list[str]) -> BadInput:
    return BadInput(f"{what} {_shown(name)} is unknown{nearest(name, names)}: accepted are {', '.join(names)}")


def _shown(text: str) -> str:
    return printable(repr(text), 60)
