"""What a model's folder says about the model, in diffusers' format. Only JSON is read: no weights, no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sfumato.edit.palette import SEEN as TASKS
from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.recipe.vocabulary import Vocabulary
from sfumato.zoo import INDEX


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model's folder; `BadInput` if it is missing or none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found
    except (OSError, ValueError, RecursionError) as error:
        reason = printable(error, 100)
        raise BadInput(
            f"{name_of(path)} can't be read as JSON ({reason}): the model's folder is damaged or incomplete."
        ) from None


def parts_of(folder: Path) -> dict[str, str]:
    """The parts that the index of a folder names, and their classes, as {"unet": "UNet2DModel", ...}."""
    return {
        name: str(value[1])
        for name, value in read_json(folder / INDEX).items()
        if isinstance(value, list) and len(value) == 2 and value[1] is not None
    }


def vocabulary(folder: Path) -> Vocabulary:
    """What the model in a folder can be told.

    Words, if it has a text encoder. A picture to mend, if beside/config.json names tasks (see
    `sfumato.train.tasks.palette`). Classes by the names in label/config.json (see `sfumato.train.tasks.pixels`);
    without that file by their indices, where the network embeds classes.
    """
    parts = parts_of(folder)
    text, tasks = "text_encoder" in parts, _tasks(folder)
    label = folder / "label" / "config.json"
    if label.is_file():
        found = read_json(label)
        names, none = found.get("classes"), found.get("null")
        if not isinstance(names, list) or not names or none not in (None, len(names)):
            raise BadInput(f"{name_of(label)} holds no list of classes followed by their null: write the folder again.")
        return Vocabulary(text, tuple(printable(name, 200) for name in names), none, tasks)
    if parts.get("unet") == "UNet2DModel":
        count = read_json(folder / "unet" / "config.json").get("num_class_embeds")
        return Vocabulary(text, tuple(str(index) for index in range(count or 0)), tasks=tasks)
    return Vocabulary(text, tasks=tasks)


def _tasks(folder: Path) -> tuple[str, ...]:
    beside = folder / "beside" / "config.json"
    if not beside.is_file():
        return ()
    named = read_json(beside).get("tasks")
    if not isinstance(named, list) or not named or not set(named) <= set(TASKS):
        raise BadInput(f"{name_of(beside)} must list tasks, some of {', '.join(TASKS)}: write the folder again.")
    return tuple(named)
