"""What the study of additional prompts asks a model for: one word and edges, with a prompt beside them."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from torch import Tensor

from sfumato.condition import Condition, Text
from sfumato.control.maps import Canny
from sfumato.data import vignettes
from sfumato.data.vignettes import Scene
from sfumato.evaluate.adherence import Drawn
from sfumato.model.run import Run, bind
from sfumato.picture import BadInput, keep_for_now
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import literal
from sfumato.study.control_nets import Net
from sfumato.study.pictures import WORLD, recipe_for

SIDES = ("positive", "negative")


def named(scene: Scene) -> bool:
    """Whether one word says what a picture is of: a landscape is no one word to the models of this world."""
    return scene["subject"] != "landscape"


def scene_of(number: int) -> Scene:
    """Picture `number` of the unseen world: every subject of one word once before any comes again."""
    subjects = len(vignettes.ATTRIBUTES["subject"]) - 1
    turn, place = divmod(number, subjects)
    first: dict[str, Scene] = {}
    for scene in (vignettes.scene(WORLD, index) for index in count(turn * 1000)):
        if named(scene):
            first.setdefault(scene["subject"], scene)
        if len(first) == subjects or (turn == 0 and len(first) > place):
            break
    return list(first.values())[place]


def asked(
    pipe: Any, scene: Scene, net: Net | None, guidance: float, steps: int, seed: int
) -> tuple[Recipe, np.ndarray]:
    """What the model is asked for: one word, and the edges of the scene's picture where a network is shown them; and
    these edges."""
    drawn = Drawn.of(scene, max(pipe.size))
    edges = Canny().truth(drawn)
    recipe = replace(recipe_for(pipe, guidance, seed, steps), prompt=literal(scene["subject"]))
    if net is not None:
        recipe = replace(recipe, controls=(net.shown(keep_for_now(Canny().draw(edges, pipe.size))),))
    return recipe, edges


def with_extra(recipe: Recipe, side: str, extra: str) -> Recipe:
    """The recipe with an additional prompt: behind the word, or as the negative one."""
    if side == "positive":
        return replace(recipe, prompt=f"{recipe.prompt}, {literal(extra)}")
    return replace(recipe, negative=literal(extra))


def moved(condition: Condition, side: str, delta: Tensor) -> Condition:
    """The condition with the text's embeddings, or those of its negative prompt, moved by delta (1, L, D)."""
    text = condition.get(Text)
    if text is None:
        raise BadInput("This study moves the words of a prompt: choose a model that reads words.")
    if side == "positive":
        other = replace(text, embeds=text.embeds + delta)
    else:
        null = text.null()
        other = replace(text, negative=replace(null, embeds=null.embeds + delta, negative=None))
    return replace(condition, parts=tuple(other if part is text else part for part in condition.parts))


def bound(pipe: Any, recipe: Recipe) -> Run:
    return bind(pipe.batch([pipe.resolve(recipe)]))


def painted(pipe: Any, recipe: Recipe, side: str = "", delta: Tensor | None = None) -> np.ndarray:
    """The picture of a recipe, (H, W, 3), with the words of one side moved by delta."""
    run = bound(pipe, recipe)
    if delta is not None:
        run.denoise = replace(run.denoise, condition=moved(run.denoise.condition, side, delta))
    for _ in run.walk():
        pass
    return np.asarray(run.pictures[0].convert("RGB"))
