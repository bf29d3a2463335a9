"""From options to recipes, and from recipes to files: what generate and edit share."""

from __future__ import annotations

import json as json_format
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sfumato.recipe import Recipe

MOST = 1000  # pictures in one command


def option_name(name: str) -> str:
    """How a wish of `sfumato.recipe.intent` is called on the command line."""
    return f"--{OPTIONS.get(name, name).replace('_', '-')}"


OPTIONS = {"shows": "from", "other": "with"}  # wishes whose options have other names


def wishes(options: Mapping[str, Any], of: str) -> dict[str, Any]:
    """What the function `of` of `sfumato.recipe.intent` takes, out of a command's options.

    Raises BadInput where nothing is said to a model of words.
    """
    from inspect import signature

    from sfumato.element import nearest
    from sfumato.formats import capabilities_named
    from sfumato.network.engine import Engine
    from sfumato.picture import BadInput
    from sfumato.picture.errors import printable
    from sfumato.recipe import intent
    from sfumato.zoo.find import with_transformer

    engines = ["auto", *Engine.registry]
    if (engine := options.get("engine", "auto")) not in engines:
        shown = f"{printable(repr(engine), 60)} is unknown{nearest(engine, engines)}"
        raise BadInput(f"--engine {shown}: accepted are {', '.join(engines)}")
    until = {"precision": "float32", "engine": "eager"}  # until load says what auto is
    options = {name: until[name] if name in until and said == "auto" else said for name, said in options.items()}
    if options.get("transformer"):
        options["model"] = with_transformer(options["model"], options["transformer"])
    takes = signature(getattr(intent, of)).parameters.keys() | signature(intent.generate).parameters.keys()
    tells = capabilities_named(options["model"])
    unsaid = options["prompt"] is None and options.get("label") is None and not options.get("images")
    if unsaid and tells.text:
        raise BadInput(f"{options['model']} paints from words: give a prompt that says what the picture is to show")
    return {**{name: value for name, value in options.items() if name in takes}, "tells": tells, "named": option_name}


def recipes_of(recipe: Recipe, count: int) -> list[Recipe]:
    """`count` recipes with the seeds seed, seed + 1, ..."""
    from sfumato.picture import BadInput
    from sfumato.recipe.intent import each

    if not 1 <= count <= MOST:
        raise BadInput(f"--count is {count}: give a whole number from 1 to {MOST}")
    return each(recipe, count)


def default_output(recipe: Recipe) -> Path:
    """out/WORDS-SEED.png"""
    words = re.sub(r"[^a-z0-9]+", "-", f"{recipe.prompt} {recipe.label or ''}".lower())[:40].strip("-")
    return Path("out") / f"{words or 'picture'}-{recipe.seed}.png"


def note(sentence: str) -> None:
    """A remark on stderr."""
    print(f"sfumato: note: {sentence}", file=sys.stderr)


def print_json(value: Any) -> None:
    """The one JSON object of a command."""
    from sfumato.picture.errors import escaped_json

    print(escaped_json(json_format.dumps(value, ensure_ascii=False)))


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Silence libraries that write to file descriptor 2 themselves, as libtiff does; Python is still heard."""
    if sys.stderr is None:  # closed by the caller
        yield
        return
    sys.stderr.flush()
    heard = open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    with heard, open(os.devnull, "w") as silence, redirect_stderr(heard):
        os.dup2(silence.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(heard.fileno(), 2)
