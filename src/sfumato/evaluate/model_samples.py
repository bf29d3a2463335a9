"""A model's pictures for an evaluation: one for each seed, kept in a folder, so that a run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.evaluate.pictures import Pictures
from sfumato.guide import ClassifierFree
from sfumato.picture import BadInput, save_picture
from sfumato.picture.files import write_atomically
from sfumato.recipe import Recipe, parameters, written
from sfumato.recipe import prompt as grammar
from sfumato.recipe.prompt.schedule import last
from sfumato.zoo.files import stamp
from sfumato.zoo.find import find

if TYPE_CHECKING:
    from sfumato.model import Pipe

SETTINGS = "settings.json"
CAPTIONS, CLASSES, NOTHING = "the reference's captions", "its classes in turn", "nothing"


@dataclass(frozen=True)
class SampleSettings:
    """How a model is sampled, `ddim:eta=1` by a sampler with options: picture i has the seed `seed` + i."""

    steps: int
    sampler: str
    guidance: float
    seed: int
    label: str | None = None


def recipe_of(pipe: Pipe, settings: SampleSettings) -> Recipe:
    return Recipe(
        model=pipe.name,
        guidance=(ClassifierFree(settings.guidance),),
        sampler=written.sampler(settings.sampler),
        steps=settings.steps,
        seed=settings.seed,
        engine=pipe.engine,  # pyright: ignore[reportArgumentType]
        precision=pipe.precision,  # pyright: ignore[reportArgumentType]
    )


def conditions(
    pipe: Pipe, settings: SampleSettings, reference: Pictures
) -> tuple[Callable[[int], dict[str, Any]], str]:
    """What picture i is asked to show, as fields of a recipe, and that in words.

    A model that reads words gets the reference's captions, as is usual; one of classes gets them in turn, so that
    every class has as many pictures, or the one class of `settings.label`.
    """
    vocabulary = pipe.capabilities
    classes = range(len(vocabulary.classes))
    if settings.label is not None:
        vocabulary.index(settings.label)
        return lambda i: {"label": settings.label}, f"the class {settings.label}"
    if classes:
        return lambda i: {"label": i % len(classes)}, CLASSES
    if vocabulary.text and reference.words(0):
        return lambda i: {"prompt": grammar.literal(reference.words(i % len(reference)))}, CAPTIONS
    return lambda i: {}, NOTHING


def sample_pictures(
    pipe: Pipe, settings: SampleSettings, reference: Pictures, count: int, batch: int, home: Path, progress: Any
) -> tuple[str, Callable[[int], str]]:
    """Paints what is missing of `home`/pictures/000000.png ... and says what was asked for, and the words of each.

    The settings are kept beside them; BadInput if `home` holds pictures of other settings.
    """
    condition, described = conditions(pipe, settings, reference)
    plain = recipe_of(pipe, settings)
    recipes = [replace(plain, seed=settings.seed + i, **condition(i)) for i in range(count)]
    pipe.resolve(recipes[0])
    _same(home, pipe, plain, described, reference if described == CAPTIONS else None)
    missing = [i for i in range(count) if not picture_path(home, i).is_file()]
    with progress("painting", count, count - len(missing)) as advance:
        for start in range(0, len(missing), batch):
            rows = missing[start : start + batch]
            result = pipe.run([recipes[i] for i in rows])
            for i, image, recipe in zip(rows, result.images, result.recipes, strict=True):
                save_picture(image, picture_path(home, i), recipe_json=recipe.to_json(), parameters=parameters(recipe))
            advance(len(rows))
    return described, lambda i: grammar.plain(last(recipes[i].prompt, recipes[i].steps))


def picture_path(home: Path, index: int) -> Path:
    return home / "pictures" / f"{index:06d}.png"


def _same(home: Path, pipe: Pipe, plain: Recipe, described: str, reference: Pictures | None) -> None:
    """BadInput unless the pictures in `home`, if there are any, were asked for in the same way."""
    current = {
        "recipe": json.loads(plain.to_json()),
        "size": list(pipe.size),
        "conditions": described,
        "captions": reference.key if reference else "",
        "weights": stamp(find(pipe.name)),
    }
    path = home / SETTINGS
    if path.is_file():
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise BadInput(f"{path} is damaged: choose another folder by -o, or remove this one.") from error
        if before != current:
            what = next((key for key in current if before.get(key) != current[key]), "settings")
            if what == "recipe":
                old = before.get("recipe") or {}
                what = next((key for key, value in current["recipe"].items() if old.get(key) != value), what)
            raise BadInput(
                f"{home} holds pictures of another evaluation ({what} differs): choose another folder by -o, "
                "or remove this one."
            )
        return
    if picture_path(home, 0).exists():
        raise BadInput(f"{home} holds pictures without {SETTINGS}: choose another folder by -o, or remove this one.")
    write_atomically(path, json.dumps(current, indent=1).encode())
