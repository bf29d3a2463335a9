"""Sfumato: conditional diffusion for image manipulation. An edit is a start, a hold and a condition.

    import sfumato
    pipe = sfumato.load("mini")
    pipe("a painting of a woman in a red jacket", start=sfumato.SDEdit("sketch.png", 0.6), seed=7).save("painting.png")

Importing the package loads nothing heavy: every name below is fetched when it is first used. Here are the modules,
the few names of `_HOMES`, and all public names of the packages that recipes are made of: a new sampler is listed in
`sfumato.sample` and nowhere else.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from sfumato._version import __version__ as __version__

_HOMES = {
    "BadInput": "picture",
    "Pipe": "model",
    "Recipe": "recipe",
    "StageOptions": "recipe",
    "Result": "model",
    "load": "model",
    "register": "extend",
}
_PARTS_OF_RECIPES = ("adapt", "control", "edit", "guide", "region", "sample", "times")


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return __dir__()
    if name in _HOMES:
        return getattr(import_module(f"sfumato.{_HOMES[name]}"), name)
    if name in _modules():
        return import_module(f"sfumato.{name}")
    if not name.startswith("_"):
        for package in _parts():
            if name in package.__all__:
                return getattr(package, name)
    raise AttributeError(f"module 'sfumato' has no attribute {name!r}")


def __dir__() -> list[str]:
    parts = (name for package in _parts() for name in package.__all__)
    return sorted({"__version__", *_HOMES, *_modules(), *parts})


def _modules() -> list[str]:
    return [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]


def _parts() -> list[Any]:
    return [import_module(f"sfumato.{name}") for name in _PARTS_OF_RECIPES]
