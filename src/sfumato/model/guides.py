"""Guidances that need networks of their own, read from folders: from a recipe's element to the live part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from sfumato import recipe as spec
from sfumato.encode.clip import Clip, load_clip
from sfumato.guide import (
    AutoGuidance,
    ClassifierGuidance,
    CleanClip,
    ClipGuidance,
    Guided,
    NoisedClip,
    ProjectedGuidance,
)
from sfumato.guide.clip import Eye
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.capabilities import Capabilities
from sfumato.recipe.prompt import plan_of
from sfumato.zoo import ZOO
from sfumato.zoo.find import find

if TYPE_CHECKING:
    from sfumato.stage import Stage


def classifier_guidance(g: spec.ClassifierGuidance, stage: Stage, recipes: Sequence[Recipe]) -> ClassifierGuidance:
    """Raises `BadInput` where the classifier reads other pictures, or knows other classes, than the model's."""
    folder = folder_of(g.classifier, recipes[0], "classifier")
    classifier = _classifier(folder, (folder / "config.json").stat().st_mtime_ns)
    channels, own = classifier.config["channels"], stage.space.channels
    if channels != own or stage.space.factor != 1:
        drawn = f"{own} channels" if stage.space.factor == 1 else "latents"
        raise BadInput(
            f"The classifier reads pixels of {channels} channels and this model draws {drawn}: give another."
        )
    if g.label is not None:
        return ClassifierGuidance(
            classifier, g.scale, g.interval, Capabilities(classes=classifier.names).index(g.label)
        )
    if stage.capabilities.classes != classifier.names:
        raise BadInput(
            f"The classifier's classes ({', '.join(classifier.names)}) are not this model's: give the guidance a label "
            "of its own, or a classifier of the same classes."
        )
    return ClassifierGuidance(classifier, g.scale, g.interval)


def clip_guidance(g: spec.ClipGuidance, stage: Stage, recipes: Sequence[Recipe]) -> ClipGuidance:
    """Raises `BadInput` where there is no caption, or the CLIP can't see what this model draws."""
    prompts = [plan_of(g.prompt or recipe.prompt, recipe.steps).caption for recipe in recipes]
    if not all(prompts):
        raise BadInput("CLIP guidance needs a caption: give the recipe a prompt, or the guidance its own.")
    clip = load_clip(folder_of(g.clip, recipes[0], "clip_noised" if g.eye == "noised" else "clip"))
    eye = _noised(clip, stage) if g.eye == "noised" else _clean(clip, stage, g)
    return ClipGuidance(eye, clip.text(prompts), g.scale, g.interval, clip.logit_scale)


def auto_guidance(g: spec.AutoGuidance, stage: Stage, recipes: Sequence[Recipe]) -> AutoGuidance:
    """Raises `BadInput` where the worse version draws other pictures than the model's."""
    bad = _worse(g.model, recipes[0].engine, recipes[0].precision)
    if (bad.space.channels, bad.space.factor) != (stage.space.channels, stage.space.factor):
        raise BadInput(f"The model {g.model} draws other pictures than this one: autoguidance needs a worse version.")
    return AutoGuidance(Guided(bad.denoiser, ()), g.scale, g.interval)


def projected_guidance(g: spec.ProjectedGuidance, *_: object) -> ProjectedGuidance:
    threshold = math.inf if g.threshold is None else g.threshold
    return ProjectedGuidance(g.scale, g.eta, g.momentum, threshold, g.interval)


def folder_of(name: str, recipe: Recipe, part: str) -> Path:
    """The folder of the network called `name`: a path, a built-in name, or "", `part` in the model's own folder."""
    places = [Path(name), Path(name) / part, ZOO / name] if name else [find(recipe.model) / part]
    for folder in places:
        if (folder / "config.json").is_file():
            return folder
    if name:
        raise BadInput(f"There is no {part} called {name!r}: give the path of a folder with a config.json.")
    raise BadInput(f"The model {recipe.model} has no {part}/ of its own: name the folder of one in the guidance.")


def _noised(clip: Clip, stage: Stage) -> Eye:
    channels = None if clip.noise is None else clip.noise["channels"]
    if channels not in (None, stage.space.channels):
        raise BadInput(
            f"This CLIP was trained on {channels} noisy channels and this model draws {stage.space.channels}: train "
            "one for it with 'sfumato train mini-clip-noised', or guide with eye='x0'."
        )
    return NoisedClip(clip.noised, clip.schedule)


def _clean(clip: Clip, stage: Stage, g: spec.ClipGuidance) -> Eye:
    mode = cast(Literal["network", "x0"], g.eye)
    return CleanClip(clip.image, stage.space.decode, clip.size, mode, g.cutouts)


@lru_cache(maxsize=2)
def _worse(model: str, engine: str, precision: str) -> Stage:
    from sfumato.model.load import load

    return load(model, engine=engine, precision=precision).stages[0]


@lru_cache(maxsize=4)
def _classifier(folder: Path, stamp: int) -> Any:
    from sfumato.network.classifier import Classifier

    return Classifier.load(folder)
