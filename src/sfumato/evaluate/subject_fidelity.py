"""How well a subject was learnt: is it there, in what was asked for, and is its class as it was?

| figure | what it is |
|---|---|
| subject | mean cosine of pictures of the subject with its photographs (DINO or CLIP-I, by the features) |
| prompt | mean cosine of those pictures with their prompts, where the features read texts (CLIP-T) |
| nearest | mean of the largest cosine with a photograph: near 1 means that they are copied |
| prior | mean cosine of pictures of the *class* with the photographs (PRES): the lower, the better it stayed |
| diversity | one less the mean cosine of pictures of the class with each other (DIV) |

They are those of Ruiz et al. 2023, "DreamBooth", sections 4.2 and 4.4, but for `nearest`.
Beside them stand the ceiling (the photographs with each other) and the floor (pictures of the class by the model as it
was, with the photographs): a figure means something between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfumato.evaluate.features.extractor import POOL, Extractor
from sfumato.evaluate.statistics import Figure, mean
from sfumato.guide import ClassifierFree
from sfumato.picture import BadInput, open_picture
from sfumato.progress import progress, say

if TYPE_CHECKING:
    from PIL import Image

    from sfumato.adapt import Adapter
    from sfumato.model import Pipe

TEMPLATES = ("a painting of {}", "a pencil sketch of {}", "a watercolour of {}", "an oil painting of {}")


@dataclass(frozen=True)
class SubjectFidelity:
    """The figures, by name, and what they were measured with."""

    settings: dict[str, Any]
    figures: dict[str, Figure]

    def to_dict(self) -> dict[str, Any]:
        return {**self.settings, "figures": {name: each.to_dict() for name, each in self.figures.items()}}


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of every row of a with every row of b, (n, m)."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12) for x in (a, b)]
    return unit[0] @ unit[1].T


def alike(a: np.ndarray, b: np.ndarray) -> Figure:
    """The mean cosine of rows of a with those of b, its interval over the rows of a."""
    return mean(cosines(a, b).mean(1))


def each_other(a: np.ndarray) -> Figure:
    """The mean cosine of different rows of a; of one row alone it is not known."""
    n = len(a)
    if n < 2:
        return mean([])
    others = cosines(a, a)
    return mean((others.sum(1) - np.diag(others)) / (n - 1))


def subject_fidelity(
    pipe: Pipe,
    photos: Path,
    subject: str,
    kind: str,
    extract: Extractor,
    *,
    adapters: Sequence[Adapter] = (),
    before: Pipe | None = None,
    reads: Extractor | None = None,
    templates: Sequence[str] = TEMPLATES,
    each: int = 4,
    steps: int = 20,
    guidance: float = 4.0,
    seed: int = 1_000_003,
) -> SubjectFidelity:
    """Paints `each` pictures of every template with the subject and with its class, and measures them.

    pipe, adapters: the model as it was taught: files on top of it, or a model of its own. before: the model as it was,
    for the floor; `pipe` without the adapters where nothing is said. reads: features that read texts, for `prompt`,
    where `extract` has none. Raises BadInput for a folder without pictures, and
    where there is no class to compare with.
    """
    if not kind:
        raise BadInput("--class is missing: say what the subject is one of, as woman, to see whether that stayed.")
    real = rows_of(extract, photographs(photos, pipe.size))
    said = [template for template in templates for _ in range(each)]
    options = {"guidance": [ClassifierFree(guidance)], "steps": steps}

    def painted(by: Pipe, name: str, adapters: Sequence[Adapter]) -> list[Image.Image]:
        named = [template.replace("{}", name) for template in said]
        return paint(by, named, adapters=adapters, seed=seed, advance=advance, **options)

    with progress("painting", 3 * len(said)) as advance:
        theirs, kinds = painted(pipe, subject, adapters), painted(pipe, kind, adapters)
        plain = painted(before or pipe, kind, ())
    own, of_kind, floor = (rows_of(extract, each) for each in (theirs, kinds, plain))
    figures = {
        "subject": alike(own, real),
        "nearest": mean(cosines(own, real).max(1)),
        "prior": alike(of_kind, real),
        "diversity": _one_less(each_other(of_kind)),
        "ceiling": each_other(real),
        "floor": alike(floor, real),
        "diversity before": _one_less(each_other(floor)),
    }
    reads = extract if extract.words is not None else reads
    if reads is not None and reads.words is not None:
        texts = reads.words([template.replace("{}", kind) for template in said]).float().numpy()
        figures["prompt"] = mean(np.diag(cosines(rows_of(reads, theirs), texts)))
        figures["prompt before"] = mean(np.diag(cosines(rows_of(reads, plain), texts)))
    told = {"model": pipe.name, "subject": subject, "class": kind, "features": extract.name, "steps": steps}
    return SubjectFidelity(told | {"guidance": guidance, "seed": seed, "pictures": len(said)}, figures)


def paint(
    by: Pipe, prompts: Sequence[str], *, seed: int, advance: Callable[[int], None] = lambda _: None, **options: Any
) -> list[Image.Image]:
    """A picture of each prompt, with the seeds seed, seed + 1, ...; the options are those of `Pipe.recipes`."""
    recipes = [each for i, said in enumerate(prompts) for each in by.recipes(said, seed=seed + i, **options)]
    found: list[Image.Image] = []
    for start in range(0, len(recipes), 8):
        found += by.run(recipes[start : start + 8]).images
        advance(len(recipes[start : start + 8]))
    return found


def _one_less(figure: Figure) -> Figure:
    return Figure(1 - figure.value, 1 - figure.high, 1 - figure.low, figure.total)


def photographs(folder: Path, size: tuple[int, int]) -> list[Image.Image]:
    """The pictures of a folder, cut to a size; those that can't be read are named and left out, as in training.

    Raises BadInput where none can be read.
    """
    from PIL import Image, ImageOps

    from sfumato.data.folder import entries

    found: list[Image.Image] = []
    for entry in (files := entries(folder)):
        try:
            found.append(ImageOps.fit(open_picture(entry.path), size, Image.Resampling.LANCZOS))
        except BadInput as error:
            if len(files) == 1:
                raise
            say(f"left out: {error}")
    if not found:
        raise BadInput(f"{folder}: no picture there can be read")
    return found


def rows_of(extract: Extractor, pictures: Sequence[Image.Image]) -> np.ndarray:
    """The features of pictures, a row each, float64."""
    from sfumato.space.pixels import to_tensor

    return np.concatenate(
        [extract(to_tensor(pictures[i : i + 16]))[POOL].numpy() for i in range(0, len(pictures), 16)]
    ).astype(np.float64)
