"""How a class becomes an element: a frozen value, checked whenever it is made, found by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, ClassVar, Literal, TypeVar, get_args, overload

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic.dataclasses import dataclass, rebuild_dataclass
from pydantic_core import core_schema
from typing_extensions import dataclass_transform

from sfumato.element.registry import Registry
from sfumato.element.sentence import sentence
from sfumato.picture.errors import BadInput

T = TypeVar("T")
OPAQUE = "opaque"  # the kind of what is somebody's own code, which a recipe can name but not hold
_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Elements(Registry["Element"]):
    """The elements of one kind by name. A name stands for a class with some of its options given, as "dpmpp-2m-sde".

    classes: the classes by their kind, which is what JSON says. labels: what A1111's web page calls a name.
    """

    def __init__(self, what: str, package: str | None = None) -> None:
        super().__init__(what, package)
        self.classes: dict[str, type] = {}
        self.labels: dict[str, str] = {}
        self.options: dict[str, tuple[type, Mapping[str, Any]]] = {}

    def define(self, kind: str, made: type, short: str | None, label: Any, presets: Mapping[str, Any]) -> None:
        self.classes[kind] = made
        for name, options in {kind: {}, **presets}.items():
            self.options[name] = (made, options)
            text = label.get(name, "") if isinstance(label, Mapping) else label if name == kind else ""
            if text:
                self.labels[name] = text
            self.add(name, made, short=short if name == kind else None)  # type: ignore[arg-type]

    def remove(self, name: str) -> None:
        made = self.classes.pop(name, None)
        for other in [n for n, (cls, _) in self.options.items() if n == name or cls is made]:
            del self.options[other]
            self.labels.pop(other, None)
            super().remove(other)

    def named(self, name: str, **options: Any) -> Any:
        """The element that a name stands for, with `options`; its other options at their defaults."""
        self[name]  # refuses by name
        made, preset = self.options[self.full(name)]
        return made(**{**preset, **options})

    def name(self, value: Any) -> str:
        """The name that says the most of an element: of its kind, or of the preset whose options it has; its class's
        where it is not registered."""
        self._look()
        fitting = {
            name: len(preset)
            for name, (made, preset) in self.options.items()
            if type(value) is made and all(getattr(value, key) == option for key, option in preset.items())
        }
        return max(fitting, key=fitting.__getitem__, default=type(value).__name__)

    def label(self, value: Any) -> str:
        """What A1111's web page calls an element; nothing where it has no word for it."""
        return self.labels.get(self.name(value), "")


class Element:
    """The base of a kind's base. `class Hold(Element, kinds="hold", package="sfumato.edit")` begins a kind: its
    subclasses, made elements by `element`, are found in `Hold.registry`, and a field of type `Hold` takes any of them,
    the name of one, or the JSON of one.
    """

    registry: ClassVar[Elements]
    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]
    __pydantic_fields__: ClassVar[dict[str, Any]]

    def __init_subclass__(cls, kinds: str = "", package: str | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        cls.kind = cls.__name__  # of somebody's own; the decorator gives the others theirs
        if kinds:
            cls.registry = Elements(kinds, package)

    def infotext(self) -> dict[str, str]:
        """What A1111's web page writes of it into a picture's text, as {"CFG scale": "5"}; by default nothing."""
        return {}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        if "registry" not in vars(cls):
            return handler(source)
        choices = {kind: handler.generate_schema(made) for kind, made in cls.registry.classes.items()}
        union = core_schema.tagged_union_schema(choices, discriminator=_kind_of)
        return core_schema.with_info_wrap_validator_function(
            cls._chosen, union, serialization=core_schema.plain_serializer_function_ser_schema(_written)
        )

    @classmethod
    def _chosen(cls, value: Any, handler: Any, info: Any) -> Any:
        """An element as it is, or that of a name; one of one's own that has no name runs, and can't be read again."""
        if isinstance(value, cls) and type(value) not in cls.registry.classes.values():
            return value
        if isinstance(value, str):
            if value not in cls.registry:
                raise ValueError(str(cls.registry.unknown(value, said="")))
            try:
                return cls.registry.named(value)
            except BadInput as error:
                raise ValueError(str(error)) from None
        return handler(value)


def _kind_of(value: Any) -> Any:
    return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)


def _written(value: Any) -> Any:
    if type(value) not in value.registry.classes.values():
        return {"kind": OPAQUE, "name": type(value).__name__}
    return value.__pydantic_serializer__.to_python(value, mode="json")


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def element(kind: type[T]) -> type[T]: ...


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def element(
    kind: str = "",
    *,
    short: str | None = None,
    label: str | Mapping[str, str] = "",
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[type[T]], type[T]]: ...


def element(
    kind: Any = "",
    *,
    short: str | None = None,
    label: str | Mapping[str, str] = "",
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> Any:
    """Makes a class an element: a frozen pydantic dataclass whose errors are one `BadInput` sentence.

    kind: its name, in JSON and everywhere; without one (or without brackets) it is a part of other elements. short: a
    shorter name, for command lines. presets: further names, each for some of its options. label: what A1111's web page
    calls it, or what it calls each of its names.
    """
    if isinstance(kind, type):
        return element()(kind)

    def make(cls: type[T]) -> type[T]:
        if kind:
            cls.__annotations__ = {**vars(cls).get("__annotations__", {}), "kind": Literal[kind]}
            cls.kind = kind  # type: ignore[attr-defined]
        made: Any = dataclass(frozen=True, config=_CONFIG)(cls)
        _say_it_in_a_sentence(made)
        registry = getattr(made, "registry", None)
        if kind and registry is not None:
            registry.define(kind, made, short, label, presets or {})
        return made

    return make


def _say_it_in_a_sentence(made: Any) -> None:
    """What is wrong with the fields of an element becomes a `BadInput`."""
    check = made.__init__

    @wraps(check)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            check(self, *args, **kwargs)
        except ValidationError as error:
            raise BadInput(sentence(error, made)) from None

    made.__init__ = __init__


def rebuilt(made: type[T]) -> type[T]:
    """An element whose fields are of other kinds, built anew: it takes what is registered now."""
    rebuild_dataclass(made, force=True)  # type: ignore[arg-type]
    _say_it_in_a_sentence(made)  # which pydantic has replaced
    return made


def renewing(made: type[T]) -> type[T]:
    """The same, now and whenever something is registered, or taken out, of the kinds that its fields take."""
    annotations: list[Any] = [field.annotation for field in made.__pydantic_fields__.values()]  # type: ignore[attr-defined]

    def renew() -> None:
        rebuilt(made)

    for base in dict.fromkeys(base for annotation in annotations for base in kinds_in(annotation)):
        base.registry.watchers.append(renew)
    return rebuilt(made)


def kinds_in(annotation: Any) -> Iterator[type[Element]]:
    """The kinds of elements in a type: of `Sampler | None` Sampler."""
    if isinstance(annotation, type) and issubclass(annotation, Element) and "registry" in vars(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from kinds_in(part)


def required(made: Any) -> list[str]:
    """The fields of an element's class that have no default."""
    return [name for name, field in made.__pydantic_fields__.items() if field.is_required()]
