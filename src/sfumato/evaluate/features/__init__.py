"""Feature networks, one family a file, apart from the statistics of their features. Each registers itself by name.

Which network it was, its weights and its preprocessing are part of every number: FID on other features is another
measure. A network that is missing is an error that says how to give it; none stands in for another.
"""

from __future__ import annotations

import json
from pathlib import Path

from sfumato.evaluate.features.extractor import FEATURES, FOLDERS, Extractor
from sfumato.picture import BadInput
from sfumato.picture.errors import name_of, printable
from sfumato.zoo import place

# In the order of help texts: the built-in ones first.
from sfumato.evaluate.features import vignettes_features as _  # isort: skip
from sfumato.evaluate.features import inception_weights as _  # noqa: F811  # isort: skip
from sfumato.evaluate.features import clip_dinov2 as _  # noqa: F811  # isort: skip
from sfumato.evaluate.features import trained_classifier as _  # noqa: F401, F811  # isort: skip

__all__ = ["FEATURES", "FOLDERS", "Extractor", "features"]


def features(source: str) -> Extractor:
    """The extractor that `source` names: one of FEATURES, NAME:WEIGHTS with a file, folder or Hub id, or a FOLDER.

    A folder's config.json says what it holds: a judge or a classifier that `sfumato train` exported, or a CLIP or
    DINOv2 in transformers' format; "fashion/features" is a built-in one. Raises BadInput for anything else, and for
    weights that are not there.
    """
    name, colon, weights = source.partition(":")
    if name in FEATURES:
        if colon and not weights:
            raise BadInput(f"--features {printable(source)} names no weights after the colon: give a file or a folder.")
        return FEATURES[name](name, weights or None)
    built_in, folder = place(source), Path(source).expanduser()
    if (built_in / "config.json").is_file():
        folder = built_in
    if not folder.is_dir():
        raise BadInput(
            f"There are no features called {name_of(source)}: choose one of {', '.join(FEATURES)}, or give a folder "
            "with a config.json."
        )
    return FOLDERS[_kind(folder)](source, str(folder))


def _kind(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config.get("kind") or config.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder} holds no features: there is no readable config.json in it.") from error
    if kind not in FOLDERS:
        raise BadInput(f"{folder} holds a {printable(kind)}: features can be {', '.join(FOLDERS)}.")
    return kind
