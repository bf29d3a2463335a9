"""Prior preservation (Ruiz et al. 2023, section 3.2): pictures of a class, which the model paints itself before it is
taught anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from sfumato.data import array_cache
from sfumato.data.array_cache import digest
from sfumato.data.dataset import Dataset
from sfumato.element.section import Few, Section
from sfumato.guide import ClassifierFree
from sfumato.recipe import Recipe
from sfumato.train.subject_pictures import Size
from sfumato.train.task import Place

EACH = 4  # pictures that are painted at once


class Prior(Section):
    """Pictures of the class that the model paints itself before it is taught anything; `weight` is lambda."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    count: Few = 50
    steps: Few = 20
    guidance: Annotated[float, Field(ge=1)] = 4.0


def painted(pipe: Any, prior: Prior, told: Sequence[str], size: Size, seed: int, place: Place) -> Dataset:
    """`prior.count` pictures of `size` by `pipe`, each of another seed and of the prompts `told` in turn, which are
    their captions. They are kept as long as the model's weights, the prior and `seed` stay."""
    captions = [[told[i % len(told)]] for i in range(prior.count)]
    key = digest(pipe.weights, size, captions, prior.model_dump(), seed)

    def paint(spans: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for start, stop in spans:
            rows = range(start, stop)
            recipes = [asked(pipe, captions[i][0], i, prior.steps, prior.guidance, size) for i in rows]
            yield start, {"pictures": np.stack([np.asarray(each) for each in pipe.run(recipes).images])}

    shape = {"pictures": ((*reversed(size), 3), np.uint8)}
    found = array_cache.arrays(place.cache, "class pictures", key, shape, paint, prior.count, EACH)
    return Dataset(found["pictures"], captions, key)


def asked(pipe: Any, prompt: str, seed: int, steps: int, guidance: float, size: Size) -> Recipe:
    """The recipe of one picture from words."""
    options = {"guidance": (ClassifierFree(guidance),), "steps": steps, "width": size[0], "height": size[1]}
    return pipe.recipes(prompt, seed=seed, **options)[0]
