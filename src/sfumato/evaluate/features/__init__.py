"""Feature networks by name, apart from the statistics that are taken of their answers.

Which network it was, its weights and its preprocessing are part of every number: FID on other features is another
measure. A network that is missing is an error that says how to give it; none stands in for another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from sfumato.evaluate.features.extractor import Extractor
from sfumato.picture import BadInput
from sfumato.picture.errors import name_of, printable
from sfumato.zoo import ZOO

__all__ = ["FEATURES", "Extractor", "features"]

FEATURES = {
    "vignettes-features": "judge",
    "inception": "inception",
    "inception-clean": "inception",
    "clip": "transformer",
    "dinov2": "transformer",
}
FOLDERS = {  # by what their config.json says
    "sfumato-judge": "judge",
    "sfumato-classifier": "classifier",
    "clip": "transformer",
    "clip_vision_model": "transformer",
    "dinov2": "transformer",
    "dinov2_with_registers": "transformer",
}
Load = Callable[[str, str | None], Extractor]


def features(given: str) -> Extractor:
    """The extractor that `given` names: one of FEATURES, NAME:WEIGHTS with a file, folder or Hub id, or a FOLDER.

    A folder's config.json says what it holds: a judge or a classifier that `sfumato train` exported, or a CLIP or
    DINOv2 in transformers' format; "fashion/features" is a built-in one. Raises BadInput for anything else, and for
    weights that are not there.
    """
    name, colon, where = given.partition(":")
    if name in FEATURES:
        if colon and not where:
            raise BadInput(f"--features {printable(given)} names no weights after the colon: give a file or a folder.")
        return _loader(FEATURES[name])(name, where or None)
    built_in, folder = ZOO / given, Path(given).expanduser()
    if (built_in / "config.json").is_file():
        return _loader(FOLDERS[_kind(built_in)])(given, str(built_in))
    if not folder.is_dir():
        raise BadInput(
            f"There are no features called {name_of(given)}: choose one of {', '.join(FEATURES)}, or give a folder "
            "with a config.json."
        )
    return _loader(FOLDERS[_kind(folder)])(given, str(folder))


def _loader(module: str) -> Load:
    return import_module(f"{__name__}.{module}").load


def _kind(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config.get("kind") or config.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder} holds no features: there is no readable config.json in it.") from error
    if kind not in FOLDERS:
        raise BadInput(f"{folder} holds a {printable(kind)}: features can be {', '.join(FOLDERS)}.")
    return kind
