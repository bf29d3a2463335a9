"""What studies of pictures share: what a model is asked to paint, and the path between its space and pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from sfumato.data import vignettes
from sfumato.denoise import bind
from sfumato.evaluate.model_samples import SampleSettings, recipe_of
from sfumato.guide import Guided
from sfumato.model.batch import Batch
from sfumato.model.pipe import Pipe
from sfumato.recipe import Recipe
from sfumato.sample import DEFAULT_SAMPLER, Denoise
from sfumato.space.pixels import to_images

WORLD = 1_000_003  # the world of scenes that nothing is trained on


def subject(pipe: Pipe, recipe: Recipe, number: int) -> Recipe:
    """`recipe` with the words of scene `number`, or with class `number`, as the model understands them."""
    vocabulary = pipe.capabilities
    if vocabulary.text:
        recipe = replace(recipe, prompt=vignettes.scene(WORLD, number).caption)
    elif vocabulary.classes:
        recipe = replace(recipe, label=number % len(vocabulary.classes))
    return pipe.resolve(recipe)


def words_of(recipe: Recipe) -> str:
    """What a recipe asks for, in a few words."""
    return recipe.prompt or str(recipe.label or "unconditional")


def recipe_for(pipe: Pipe, guidance: float, seed: int = 0, steps: int = 20) -> Recipe:
    """A recipe for this pipe, with classifier-free guidance."""
    return recipe_of(pipe, SampleSettings(steps, DEFAULT_SAMPLER.kind, guidance, seed))


def guided(pipe: Pipe, recipes: Sequence[Recipe]) -> Guided:
    """The pipe's denoiser with the guidance of resolved recipes."""
    stage = pipe.stage
    batch = Batch(stage, recipes, pipe.size)
    return Guided(stage.denoiser, [guidance.bind(batch) for guidance in recipes[0].guidance])


def bound_denoiser(pipe: Pipe, recipes: Sequence[Recipe]) -> Denoise:
    """The same, bound to the recipes' conditions, one a row."""
    return bind(guided(pipe, recipes), pipe.stage.encode(recipes))


def decoded(pipe: Pipe, x: Tensor) -> np.ndarray:
    """x (B, C, h, w) of the pipe's space as pictures (B, H, W, 3) uint8."""
    return np.stack([np.asarray(image) for image in to_images(pipe.stage.space.decode(x.float()))])


def standard_error(values: Sequence[float] | np.ndarray) -> float:
    """The standard error of a mean; that of one value is not known, NaN."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
