"""From a recipe's attention to the loop that obeys it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Text
from sfumato.denoise import Bound, bind
from sfumato.edit import Inverted, LocalBlend, Start, Words, coupled, injection, side_by_side
from sfumato.guide import Gradient, Guidance, Guided
from sfumato.model.scene import Scene
from sfumato.picture import BadInput
from sfumato.picture.errors import printable
from sfumato.recipe import PromptToPrompt, Recipe
from sfumato.recipe.prompt import check_single, literal, parse
from sfumato.sample import Step

Loop = Callable[..., Iterator[Step]]


def companions(recipes: Sequence[Recipe]) -> list[Recipe]:
    """The recipes of the pictures whose attention maps the recipes take; none where they take none."""
    return [
        replace(recipe, prompt=recipe.attention.source, attention=None)
        for recipe in recipes
        if recipe.attention is not None and not recipe.attention.neutral
    ]


def paired(scene: Scene, guidances: Sequence[Guidance | Gradient], start: Start) -> tuple[Bound, Loop]:
    """The denoiser of the scene's pictures and then of their companions, and the loop that walks them side by side.

    The guidances are of both, in that order. Companions of an inverted picture are that picture.
    """
    element, words_of = scene.recipe.attention, scene.stage.words
    assert element is not None
    if words_of("") is None:
        raise BadInput("This model reads no words, and Prompt-to-Prompt needs two prompts: leave the attention out.")
    said = (words for r in [*scene.recipes, *companions(scene.recipes)] for words in (r.prompt, r.negative))
    check_single(said, "Prompt-to-Prompt needs words that stand still")
    told = [replace(recipe, prompt=unweighted(recipe.prompt)) for recipe in scene.recipes]
    condition = scene.stage.condition(replace(scene, recipes=[*told, *companions(scene.recipes)]))
    text = condition.get(Text)
    assert text is not None
    length = text.embeds.shape[1]

    target = [words_of(recipe.prompt) for recipe in scene.recipes]
    source = [words_of(recipe.prompt) for recipe in companions(scene.recipes)]
    options = {"cross_maps": element.cross_maps, "self_maps": element.self_maps, "within": element.within}
    blend = _blend([r.attention for r in scene.recipes if r.attention], [*target, *source], length, words_of)
    way = start.at if isinstance(start, Inverted) else None
    condition = coupled(condition, injection(source, target, length, **options), blend)
    loop = partial(side_by_side, blend=blend, way=way)
    if blend is not None and way is not None:
        loop = partial(_masked, scene, blend, loop)
    return bind(Guided(scene.stage.denoiser, guidances), condition), loop


def _masked(scene: Scene, blend: LocalBlend, loop: Loop, *arguments: Any) -> Iterator[Step]:
    """The loop, after which the scene knows where the picture is not its own: what is left may keep its bytes."""
    yield from loop(*arguments)
    if not scene.masks:
        height, width = scene.like.shape[-2:]
        scene.inferred[:] = scene.pixels(blend.mask((height, width)).float())


def unweighted(prompt: str) -> str:
    """The prompt with the same words and parts, each of weight 1."""
    return " BREAK ".join(literal(" ".join(text for text, _ in part)) for part in parse(prompt))


def marked(words: Words, phrases: Sequence[Words], length: int) -> Tensor:
    """(number of phrases, length): 1 at the tokens of each phrase, wherever it occurs."""
    marks = torch.zeros(len(phrases), length)
    for row, phrase in zip(marks, phrases, strict=True):
        row[list(words.find(phrase.words))] = 1
    return marks


def _blend(
    elements: Sequence[PromptToPrompt], prompts: Sequence[Words], length: int, words_of: Callable[[str], Words]
) -> LocalBlend | None:
    if not elements[0].blend:
        return None
    rows = len(elements)
    phrases = [[words_of(phrase) for phrase in element.blend] for element in elements]
    marks = [marked(words, phrases[row % rows], length) for row, words in enumerate(prompts)]
    for row, here in enumerate(phrases):
        for phrase, found in zip(here, marks[row].any(1) | marks[row + rows].any(1), strict=True):
            if not found:
                raise BadInput(
                    f"The word {printable(repr(str(phrase)), 60)} to blend by occurs in neither prompt: give one of "
                    f"{printable(str(prompts[row]), 200)} or {printable(str(prompts[row + rows]), 200)}."
                )
    return LocalBlend(torch.stack(marks), elements[0].threshold)
