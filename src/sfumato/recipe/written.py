"""Elements of a recipe as they are written on a command line: NAME, or NAME:key=value,key=value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic.fields import FieldInfo

from sfumato.adapt import Adapter, AdapterFile, Embedding, Hypernetwork, LoRA, open_file
from sfumato.adapt.adapter import ALWAYS
from sfumato.adapt.file import named
from sfumato.control import Control, ControlMap
from sfumato.edit import AttentionEdit, Composite, Hold, Refiner, Start
from sfumato.element import nearest
from sfumato.element.define import Elements, kinds_in, required
from sfumato.element.name_and_options import name_and_options, with_options
from sfumato.emphasis import Emphasis
from sfumato.guide import ClassifierFree, Guidance
from sfumato.noise import Randomness
from sfumato.picture import path_of
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.capabilities import Suits
from sfumato.recipe.stage_options import StageOptions
from sfumato.region import Region, Regional
from sfumato.sample import Sampler
from sfumato.times import TimeGrid

DIFFEDIT = "diffedit"  # the method that does nothing to attention


def guidances(written: list[str], scale: float | None, suits: Suits) -> tuple[Any, ...]:
    """The guidances of `--guide` in their order, behind those that suit the model, at `scale`.

    `scale` None is theirs, unless another that moves away from no prompt is written in their place.
    """
    given = tuple(guidance(text) for text in written)
    scaled = () if scale is None else suits.scaled(scale)
    for part in given:
        if part.needs_null and [each.kind for each in (*scaled, *given)].count(part.kind) > 1:
            raise BadInput(f"the scale of the guidance {part.kind} is given twice, and they would add up: give it once")
    if scale is None:
        return given if any(part.needs_null for part in given) else (*suits.guidance, *given)
    return (*scaled, *given)


def guidance(text: str) -> Any:
    """`pag:scale=3,layers=mid+up`: the guidance of that name.

    Raises `BadInput` for an unknown name, key or value.
    """
    registry = Guidance.registry
    return _named("--guide", registry, text, [registry.short(each) for each in registry])


def holds() -> list[str]:
    """The names of the holds that need no mask."""
    return [each for each in Hold.registry if not required(Hold.registry[each])]


def starts() -> list[str]:
    """The names of the starts that need a picture and nothing else."""
    return [each for each in Start.registry if required(Start.registry[each]) == ["picture"]]


def blank_starts() -> list[str]:
    """The names of the starts that need no picture."""
    return [each for each in Start.registry if not required(Start.registry[each])]


def inversions() -> list[str]:
    """The names of the inversions: starts that can be told what their picture shows."""
    registry = Start.registry
    return [registry.short(each) for each in registry if "shows" in registry[each].__pydantic_fields__]


def methods() -> list[str]:
    """The names of what is done to attention, and of what does nothing to it."""
    return [DIFFEDIT, *AttentionEdit.registry]


def sampler(text: str) -> Any:
    """`ddim:eta=1`: the sampler of that name. Raises `BadInput` as `guidance` does."""
    return _named("--sampler", Sampler.registry, text)


def times(text: str) -> Any:
    """`karras:rho=5`: the time grid of that name. Raises `BadInput` as `guidance` does."""
    return _named("--times", TimeGrid.registry, text)


def composite(text: str) -> Any:
    """`poisson`: the composite of that name. Raises `BadInput` as `guidance` does."""
    return _named("--composite", Composite.registry, text)


def control(text: str) -> Any:
    """`controlnet:picture=edges.png,net=FOLDER,weight=0.8`: the control; its map is made of the picture with
    `map=canny`, or `map=canny:low=50+high=150`. `canny:picture=photo.jpg,low=50` is a ControlNet whose map is made so.
    Raises BadInput as `guidance` does."""
    return _named("--control", Control.registry, _of_map(text), pictured=True)


def _of_map(text: str) -> str:
    """`depth:weight=0.8` as the ControlNet of that map; a control's own name as it is. Raises BadInput for others."""
    name = text.partition(":")[0].strip().lower()
    if name in Control.registry:
        return text
    if name not in ControlMap.registry:
        raise _unknown("--control", name, [*ControlMap.registry, *Control.registry])
    _, options = name_and_options(text)
    own = Control.registry["controlnet"].__pydantic_fields__.keys()
    drawn = [key for key in ControlMap.registry[name].__pydantic_fields__ if key in options and key not in own]
    inner = "+".join(f"{key}={options.pop(key)}" for key in drawn)
    return with_options("controlnet", {"map": f"{name}{':' if inner else ''}{inner}", **options})


def controlled(text: str) -> Callable[[Any], Any]:
    """`depth:net=FOLDER,weight=0.8`, a map and what a ControlNet is told besides, or any control with its map,
    `t2i-adapter:map=depth,net=FOLDER`: a function of a picture, the map itself, that answers the control; its `map`
    says what the picture is a map of. A control of pictures themselves is told no map, `ip-adapter:net=FOLDER`.

    Raises `BadInput` as `guidance` does, and where nothing says what the map is.
    """
    text = _of_map(text)
    name, options = name_and_options(text)
    if "map" in Control.registry[name].__pydantic_fields__ and "map" not in options:
        raise BadInput(f"--control {_shown(text)}: say what it is shown, as map=depth")

    def control(picture: Any) -> Any:
        return _named("--control", Control.registry, text, picture=picture)

    return control


def control_map(text: str, what: str = "--as") -> Any:
    """`canny:low=50,high=150`: the map of that name. Raises `BadInput` as `guidance` does."""
    return _named(what, ControlMap.registry, text)


_WHERE = re.compile(r"(?P<where>.*?)(?:,weight=(?P<weight>[^,:]*))?$", re.S)


def region(text: str) -> Region:
    """`hat.png:a red hat` or `0,0,0.5,1:a red house`: words and the mask, or the box in fractions, where they hold;
    behind either, as `hat.png,weight=0.8:a red hat`, their share. Raises `BadInput` where neither stands."""
    for colon in (found.start() for found in re.finditer(":", text)):
        found = _WHERE.match(text[:colon])
        assert found is not None
        where, weight = found["where"].strip(), found["weight"]
        numbers = [_number(each.strip()) for each in where.split(",")]
        box = tuple(numbers) if len(numbers) == 4 and not any(isinstance(each, str) for each in numbers) else None
        if box is not None or path_of(where).is_file():
            options = {} if weight is None else {"weight": _number(weight)}
            try:
                return Region(text[colon + 1 :].strip(), None if box else where, box, **options)  # type: ignore[arg-type]
            except BadInput as error:
                raise BadInput(f"--region {_shown(text)}: {error}") from None
    raise BadInput(
        f"--region {_shown(text)} is not WHERE:PROMPT: give a mask that is there, as hat.png:a red hat, or a box of "
        "fractions left,top,right,bottom, as 0,0,0.5,1:a red house"
    )


def regional(text: str) -> Any:
    """`mixing`: the regional method of that name. Raises `BadInput` as `guidance` does."""
    return _named("--regional", Regional.registry, text)


def emphasis(text: str) -> Any:
    """`from-empty`: the way of that name to apply weights of words. Raises `BadInput` as `guidance` does."""
    return _named("--emphasis", Emphasis.registry, text)


def refiner(text: str) -> Refiner:
    """`xl-refiner` or `xl-refiner:at=0.2`: the model of that name, and when it takes over. Raises `BadInput` for a time
    that is none."""
    model, _, at = text.partition(":at=")
    return Refiner(model, _number(at)) if at else Refiner(model)  # type: ignore[arg-type]


def stage(text: str) -> StageOptions:
    """`upscale:steps=30,guidance=4,sampler=ddim,times=karras`: what the stage of that name does; `guidance` is the
    scale of classifier-free guidance. Raises `BadInput` as `guidance` does."""
    name, options = name_and_options(text)
    scale = _number(options.pop("guidance", ""))
    if isinstance(scale, str) and scale:
        raise BadInput(f"--stage {name}: guidance is {_shown(scale)}: give a number, 1 is off")
    given = {} if scale == "" else {"guidance": (ClassifierFree(scale),)}  # type: ignore[arg-type]
    return _made(f"--stage {name}", StageOptions, options, {"stage", "guidance"}, stage=name, **given)


def noise(text: str) -> Any:
    """`a1111-gpu:eta_delta=31337`: the noise source of that name. Raises `BadInput` as `guidance` does."""
    return _named("--noise", Randomness.registry, text)


def hold(text: str) -> Any:
    """`low-pass:factor=8`: a hold that needs no mask. Raises `BadInput` as `guidance` does."""
    return _named("--hold", Hold.registry, text, holds())


def start(text: str, **given: Any) -> Any:
    """`sdedit:strength=0.4`: the start of that name, with the fields `given` otherwise: a start that needs a picture
    and nothing else, or where none is given no picture either. Raises `BadInput` as `guidance` does, and for a field
    that it has not."""
    return _named("--start", Start.registry, text, starts() if "picture" in given else blank_starts(), **given)


def inversion(text: str, **given: Any) -> Any:
    """`ddim:null=10`: the start of that inversion, with the fields `given` otherwise. Raises `BadInput` as `guidance`
    does, and for a field that it has not."""
    return _named("--inversion", Start.registry, text, inversions(), **given)


def lora(text: str, allow_pickle: bool = False) -> LoRA:
    """`me.safetensors:0.8,down.1=0.5,text=0,interval=0.2-0.8`: a file, or the name of one in the folders of LoRAs, its
    weight, weights by block and the times at which it acts.

    Raises `BadInput` for a file that is not there and for options that can't be read.
    """
    name, options = _file_and_options(text)
    weight, interval, blocks = 1.0, ALWAYS, {}
    for key, value in options:
        if key == "interval":
            interval = tuple(_weight_in("--lora", text, each) for each in value.split("-", 1))
        elif key in ("", "weight"):
            weight = _weight_in("--lora", text, value)
        else:
            blocks[key] = _weight_in("--lora", text, value)
    return LoRA(file_of(name, "loras", allow_pickle), weight, blocks, interval)  # type: ignore[arg-type]


def hypernetwork(text: str, allow_pickle: bool = False) -> Hypernetwork:
    """`me.pt:0.8`: a file, or the name of one in the folders of hypernetworks, and its weight."""
    name, options = _file_and_options(text)
    if any(key for key, _ in options):
        raise BadInput(f"--hypernetwork {_shown(text)}: give FILE:WEIGHT, as me.pt:0.8")
    weight = _weight_in("--hypernetwork", text, options[0][1]) if options else 1.0
    return Hypernetwork(file_of(name, "hypernetworks", allow_pickle), weight)


def adapter(text: str, allow_pickle: bool = False) -> Any:
    """`bottleneck:file=me.safetensors,weight=0.8`: the adapter of that kind. Raises BadInput as `guidance` does."""
    return _named("--adapter", Adapter.registry, text)


def embedding(text: str, allow_pickle: bool = False) -> Embedding:
    """`style.safetensors:word`: a file, or the name of one in the folders of embeddings, and the word that calls it."""
    name, colon, word = (text, "", "") if path_of(text).is_file() else text.rpartition(":")
    name, word = (name, word) if colon else (text, "")
    return Embedding(file_of(name, "embeddings", allow_pickle), word)


ADAPTERS = {"lora": lora, "embedding": embedding, "hypernetwork": hypernetwork, "adapter": adapter}
"""The ways to name files that are added to a model, by the options that they are."""


def adapters(files: Mapping[str, Sequence[str] | None], allow_pickle: bool = False) -> list[Any]:
    """The adapters that are named in any of these ways, in their order."""
    return [ADAPTERS[way](text, allow_pickle) for way in ADAPTERS for text in files.get(way) or ()]


def file_of(name: str, kind: str, allow_pickle: bool = False) -> AdapterFile:
    """The file at a path, or the one of that name in the folders of its kind."""
    path = path_of(name)
    if path.is_file() or len(path.parts) > 1:
        return open_file(path, allow_pickle=allow_pickle)
    return named(name, kind, allow_pickle=allow_pickle)


_OPTIONS = re.compile(r"(?:[+-]?[\d.]+|[\w.]+=[^,=:]+)(?:,[\w.]+=[^,=:]+)*")


def _file_and_options(text: str) -> tuple[str, list[tuple[str, str]]]:
    name, colon, rest = text.rpartition(":")
    if not colon or path_of(text).is_file() or (not _OPTIONS.fullmatch(rest.strip()) and not path_of(name).is_file()):
        return text, []
    pairs = [each.rpartition("=") for each in rest.strip().split(",")]
    return name, [(key.strip(), value.strip()) for key, _, value in pairs]


def _weight_in(option: str, text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise BadInput(f"{option} {_shown(text)}: {_shown(value)} is no number; write FILE:WEIGHT, as me:0.8") from None


def attention(text: str, source: str) -> AttentionEdit | None:
    """`prompt-to-prompt:self_maps=0.2,blend=hat`: how the picture of `source` is edited; None for diffedit, which does
    nothing to attention. Raises `BadInput` as `guidance` does."""
    name, options = name_and_options(text)
    if name != DIFFEDIT:
        return _named("--method", AttentionEdit.registry, text, methods(), source=source)
    if options:
        raise BadInput(f"--method {name} has no options: --hold inferred has, as inferred:threshold=0.4")
    return None


def _named(
    what: str, registry: Elements, text: str, among: Sequence[str] | None = None, pictured: bool = False, **given: Any
) -> Any:
    """The element of a name of `registry` (one of `among`), with the options that are written behind it.

    pictured: whether its picture is one of them; else it is said elsewhere.
    """
    name, options = name_and_options(text)
    names = list(registry) if among is None else list(among)
    if name not in registry or not {name, registry.short(name), registry.full(name)} & set(names):
        raise _unknown(what, name, names)
    made, preset = registry.options[registry.full(name)]
    fields = made.__pydantic_fields__
    for key in given:
        if key not in fields:
            raise BadInput(f"{what} {name} takes no --{key}: leave it out")
    some = [each for each in names if each in registry and set(registry[each].__pydantic_fields__) - {"kind"}]
    if options and registry.options[registry.full(name)][0] not in [registry[each] for each in some]:
        raise BadInput(f"{what} {name} has no options; those that have are {', '.join(some)}")
    elsewhere = {"kind"} if pictured else {"kind", "picture"}
    return _made(
        f"{what} {name}",
        made,
        options,
        elsewhere,
        **{key: preset[key] for key in preset if key not in options},
        **given,
    )


def _made(what: str, element: Any, options: dict[str, str], elsewhere: set[str], **given: Any) -> Any:
    fields = element.__pydantic_fields__
    known = {name: field for name, field in fields.items() if name not in elsewhere | given.keys()}
    for key in options:
        if key in given and key in fields:
            raise BadInput(f"{what}: {key} is said beside it too: once is enough")
        if key not in known:
            raise _unknown(f"{what}:", key, list(known))
    try:
        return element(**given, **{key: _value(key, text, known[key]) for key, text in options.items()})
    except BadInput as error:
        raise BadInput(f"{what}: {error}") from None


def _value(key: str, text: str, field: FieldInfo) -> Any:
    """Text as the field's default has it: two numbers as 0.2-0.8, a list as mid+up, an element of a kind with names as
    NAME:key=value+key=value, any other by its first field."""
    default = field.default
    kinds: tuple[Any, ...] = (field.annotation, *get_args(field.annotation))
    if (kind := next(kinds_in(field.annotation), None)) is not None:
        value = _named(key, kind.registry, re.sub(r"\+(?=\w+=)", ",", text))
        return value if kind in kinds else (value,)  # of a list the one
    worded = field.is_required() or (field.default is None and str in kinds)
    if isinstance(default, str) or worded:
        return text
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
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
