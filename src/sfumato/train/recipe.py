"""Training recipes: the YAML that says everything one training run depends on, validated by pydantic."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from sfumato.picture import BadInput

from .section import Section
from .sections import (
    Arrays,
    Autoencoder,
    Clip,
    ClipNetwork,
    Common,
    Diffusion,
    Ema,
    Every,
    Folder,
    JudgeTask,
    KLLoss,
    KLNetwork,
    LatentDiffusion,
    Optimizer,
    Preview,
    Tars,
    TextDiffusion,
    TextPixels,
    Tower,
    UNet,
    Vignettes,
)
from .sections_clip import NoisedClip
from .sections_inpaint import Filled, Inpaint, Masks
from .sections_objective import (
    EDMWeight,
    FreeObjective,
    Hybrid,
    Importance,
    LogitNormal,
    LogNormal,
    MinSNR,
    Objective,
    Regression,
    ScoreMatching,
    Sigmoid,
    Simple,
    Table,
    Times,
    Uniform,
    Vlb,
    Weighting,
)
from .sections_palette import Mended, Palette
from .sections_pixels import (
    Annealed,
    ByChannels,
    ByNothing,
    ByTime,
    ClassifierNetwork,
    ClassifierTask,
    Ncsn,
    Pixels,
    PixelUNet,
    ScoreObjective,
    Sheet,
    TableObjective,
)
from .sections_points import MLPNetwork, PlaneData, Plot, Points

__all__ = [
    "Annealed",
    "Arrays",
    "Autoencoder",
    "ByChannels",
    "ByNothing",
    "ByTime",
    "ClassifierNetwork",
    "ClassifierTask",
    "Clip",
    "ClipNetwork",
    "Common",
    "Diffusion",
    "EDMWeight",
    "Ema",
    "Every",
    "Filled",
    "Folder",
    "FreeObjective",
    "Hybrid",
    "Importance",
    "Inpaint",
    "JudgeTask",
    "KLLoss",
    "KLNetwork",
    "LatentDiffusion",
    "LogNormal",
    "LogitNormal",
    "MLPNetwork",
    "Masks",
    "Mended",
    "MinSNR",
    "Ncsn",
    "NoisedClip",
    "Objective",
    "Optimizer",
    "Palette",
    "PixelUNet",
    "Pixels",
    "PlaneData",
    "Plot",
    "Points",
    "Preview",
    "Recipe",
    "Regression",
    "ScoreMatching",
    "ScoreObjective",
    "Section",
    "Sheet",
    "Sigmoid",
    "Simple",
    "Table",
    "TableObjective",
    "Tars",
    "TextDiffusion",
    "TextPixels",
    "Times",
    "Tower",
    "UNet",
    "Uniform",
    "Vignettes",
    "Vlb",
    "Weighting",
    "differences",
    "digest",
    "find",
    "load",
    "resolved",
    "shipped",
    "validate",
]

AnyTask = (
    Autoencoder
    | Clip
    | Diffusion
    | Inpaint
    | JudgeTask
    | Pixels
    | ClassifierTask
    | Ncsn
    | NoisedClip
    | Palette
    | Points
    | TextPixels
)
Recipe = Annotated[AnyTask, Field(discriminator="task")]
_ADAPTER: TypeAdapter[AnyTask] = TypeAdapter(Recipe)
_HARMLESS = {"steps", "minutes", "every", "keep", "workers", "preview", "export", "name"}


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(str(resources.files("sfumato.train") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(source: str | Path) -> Path:
    """A recipe's file, from its path or from the name of a shipped one."""
    path, names = Path(source), shipped()
    if path.is_file():
        return path
    if str(source) in names:
        return names[str(source)]
    near = difflib.get_close_matches(str(source), names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"shipped recipes are {', '.join(names) or 'none'}"
    raise BadInput(f"there is no recipe '{source}': give the path of a YAML file or a shipped recipe's name; {hint}")


def load(source: str | Path, overrides: Iterable[str] = ()) -> AnyTask:
    """Read and validate a recipe. Overrides are `optimizer.lr=1e-3`, the value being YAML.

    Raises BadInput with one sentence that names the file, the key and what is accepted.
    """
    path = find(source)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} can't be read as text ({error}): a recipe is a YAML file in UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise BadInput(f"{path} is not valid YAML{where}: {getattr(error, 'problem', error)}") from error
    if not isinstance(values, dict):
        raise BadInput(f"{path} holds no keys: a recipe begins with 'task: ', one of {_TASKS}")
    values.setdefault("name", path.stem)
    for override in overrides:
        _override(values, override)
    return validate(values, str(path))


def validate(values: dict[str, Any], origin: str = "the recipe") -> AnyTask:
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        raise BadInput(f"{origin}: {_sentence(error)}") from error


def resolved(recipe: Common) -> str:
    """The recipe with every default written out, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def differences(old: Common, new: Common) -> list[str]:
    """Keys that change what a run computes: a run can't be resumed when one of them differs."""
    a, b = old.model_dump(mode="json"), new.model_dump(mode="json")
    return [key for key in {**a, **b} if key not in _HARMLESS and a.get(key) != b.get(key)]


def digest(*values: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of JSON-able values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise BadInput(f"the override '{override}' is not of the form key=value, such as optimizer.lr=1e-3")
    *parents, last = key.strip().split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise BadInput(f"the override '{override}' goes through '{parent}', which has no keys")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"the value of the override '{override}' is not valid YAML") from error


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(_place(first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"].startswith("union_tag"):
        accepted = first.get("ctx", {}).get("expected_tags") or _TAGS.get(where, _TASKS)
        return f"{where + '.kind' if where else 'task'} must be one of {accepted}"
    given = "" if first["type"] == "value_error" else f" (given: {first['input']!r})"
    return f"{where}: {message}{given}" if where else f"{message}{given}"


_TASKS = (
    "'autoencoder', 'clip', 'diffusion', 'inpaint', 'judge', 'pixels', 'classifier', 'ncsn', 'clip-noised', 'palette', "
    "'points', 'text-pixels'"
)
_TAGS = {
    "data": "'vignettes', 'folder', 'tars', 'arrays'",
    "label": "'time', 'channels', 'none'",
    "objective.loss": "'regression', 'vlb', 'hybrid', 'score-matching'",
    "objective.weighting": "'uniform', 'simple', 'min-snr', 'sigmoid', 'edm'",
    "objective.times": "'uniform', 'logit-normal', 'log-normal', 'table', 'importance'",
    "objective.schedule": "'linear', 'scaled_linear', 'squaredcos_cap_v2', 'vp-linear', 'vp-scaled-linear', 'sub-vp', "
    "'cosine', 've', 'edm', 'flow'",
}


def _place(loc: tuple[int | str, ...]) -> list[str]:
    """Keys of the YAML that lead to an error: pydantic's place without the tags of discriminated unions."""
    unions = ("data", "label", "weighting", "times", "schedule")
    kept = (i for i in range(1, len(loc)) if loc[i - 1] not in unions and loc[i - 2 : i] != ("objective", "loss"))
    return [str(loc[i]) for i in kept]
