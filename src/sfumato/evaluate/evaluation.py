"""One evaluation of attributes: ask, paint, judge."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from PIL import Image

from sfumato.evaluate.attributes import Scores, drawn, score_attributes, through
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.metrics.pixel import psnr
from sfumato.evaluate.model_samples import SampleSettings, recipe_of
from sfumato.evaluate.questions import Question, questions
from sfumato.evaluate.statistics import Figure, mean
from sfumato.picture import BadInput
from sfumato.progress import progress
from sfumato.recipe import Recipe
from sfumato.space.pixels import to_tensor

if TYPE_CHECKING:
    from sfumato.model import Pipe

SPLITS = ("seen", "held-out")
SEED = 1_000_003
BATCH = 8


@dataclass(frozen=True)
class Painted:
    """One split: what was asked, what was painted, what the judge read, and the judge's own ceilings."""

    questions: list[Question]
    images: list[Image.Image]
    verdicts: list[dict[str, str]]
    scores: Scores
    ceiling: Scores  # the true pictures through the model's autoencoder
    truth: Scores  # the true pictures themselves


@dataclass(frozen=True)
class Evaluation:
    settings: dict[str, Any]
    splits: dict[str, Painted]
    autoencoder: Figure
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        each = {
            name: {**part.scores.to_dict(), "ceiling": part.ceiling.to_dict(), "truth": part.truth.to_dict()}
            for name, part in self.splits.items()
        }
        return {
            **self.settings,
            "splits": each,
            "autoencoder_psnr": self.autoencoder.to_dict(),
            "seconds": round(self.seconds, 1),
            "versions": {name: version(name) for name in ("sfumato", "torch", "diffusers")},
        }


def evaluate(
    pipe: Pipe, judge: Judge, *, count: int, seed: int, steps: int, guidance: float, sampler: str, bar: bool = True
) -> Evaluation:
    """Paint `count` scenes of each split and let `judge` read them. See `sfumato.evaluate.run`."""
    if count < 1:
        raise BadInput(f"count must be 1 or more, not {count}: it is the number of pictures of each split")
    began = time.perf_counter()
    plain = recipe_of(pipe, SampleSettings(steps, sampler, guidance, seed))
    splits, quality = {}, []
    with progress("painting", 2 * count, shown=bar) as advance:
        for split in SPLITS:
            asked = questions(count, seed, split)
            true = drawn(asked, pipe.size)
            copied = through(pipe.stages[-1].space, true)
            quality += psnr(true, copied).tolist()
            images = paint_questions(pipe, plain, asked, seed, advance)
            verdicts = judge.predict(to_tensor(images))
            splits[split] = Painted(
                asked,
                images,
                verdicts,
                scores=score_attributes(asked, verdicts),
                ceiling=score_attributes(asked, judge.predict(copied)),
                truth=score_attributes(asked, judge.predict(true)),
            )
    settings = {
        "model": pipe.name,
        "count": count,
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "sampler": sampler,
        "size": list(pipe.size),
    }
    return Evaluation(settings, splits, mean(quality), time.perf_counter() - began)


def paint_questions(pipe: Pipe, plain: Recipe, asked: Sequence[Question], seed: int, advance) -> list[Image.Image]:
    """The picture of each question's caption; picture i has the seed `seed` + i."""
    images: list[Image.Image] = []
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        recipes = [replace(plain, prompt=q.caption, seed=seed + start + i) for i, q in enumerate(part)]
        images += pipe.run(recipes).images
        advance(len(part))
    return images
