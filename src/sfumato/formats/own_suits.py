"""What a model's folder says of how it is best painted: `sfumato.json`, which other readers pass over.

    {"guidance": [{"kind": "instruct", "scale": 3.0, "image_scale": 2.5}], "steps": 30}

Guidance, sampler, times and steps, as recipes write them; what is not there is what suits the model's family.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sfumato.element import sentence
from sfumato.formats.folder import read_json
from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.recipe.capabilities import Suits
from sfumato.recipe.stage_options import StageOptions

FILE = "sfumato.json"
SAID = tuple(field.name for field in fields(StageOptions) if field.name not in ("stage", "kind"))


def own_suits(folder: Path, suits: Suits) -> Suits:
    """What suits the model in a folder, of a family that `suits` suits. Raises BadInput where its file says what is
    not understood."""
    path = folder / FILE
    if not path.is_file():
        return suits
    said = read_json(path)
    if strange := sorted(said.keys() - set(SAID)):
        raise BadInput(f"{name_of(path)} says {printable(', '.join(strange), 100)}: read are {', '.join(SAID)}.")
    try:
        return TypeAdapter(StageOptions).validate_json(json.dumps({"stage": "own", **said})).over(suits)
    except ValidationError as error:
        raise BadInput(sentence(error, StageOptions, name_of(path))) from None
