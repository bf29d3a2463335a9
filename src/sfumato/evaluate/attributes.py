"""Attribute accuracy: does the picture show what the words said, in combinations seen and never seen in training?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfumato.data import vignettes
from sfumato.data.vignettes import ATTRIBUTES, held_out_parts
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.questions import Question
from sfumato.evaluate.statistics import Figure, pooled, share

Verdict = Mapping[str, str]


@dataclass(frozen=True)
class Scores:
    """What a set of pictures shows of what was asked.

    attributes: the accuracy of each attribute, over the pictures whose caption states it.
    stated: the share of all stated attributes that are shown.
    captions: the share of pictures that show all that their caption states.
    pairs: the share of held-out pairs (an orange jacket) of which both halves are shown.
    absent: the share of things that the caption does not name and that the picture does not show either.
    """

    attributes: dict[str, Figure]
    stated: Figure
    captions: Figure
    pairs: Figure
    absent: Figure

    def to_dict(self) -> dict:
        named = {name: figure.to_dict() for name, figure in self.attributes.items()}
        rest = ("stated", "captions", "pairs", "absent")
        return {"attributes": named, **{name: getattr(self, name).to_dict() for name in rest}}


def score_attributes(questions: Sequence[Question], verdicts: Sequence[Verdict]) -> Scores:
    """Compare what the judge reads in each picture with what its question states."""
    rows_read = list(zip(questions, verdicts, strict=True))
    attributes = {
        name: share(
            [verdict[name] == question.wanted[name] for question, verdict in rows_read if name in question.stated]
        )
        for name in ATTRIBUTES
    }
    rows = [[verdict[name] == value for name, value in question.wanted.items()] for question, verdict in rows_read]
    pairs = [
        all(verdict[name] == question.wanted[name] for name in names_of(part, question))
        for question, verdict in rows_read
        for part in held_out_parts(question.scene.attributes)
    ]
    absent = [[verdict[name] == "none" for name in question.absent] for question, verdict in rows_read]
    return Scores(attributes, pooled(rows), share([all(row) for row in rows]), share(pairs), pooled(absent))


def names_of(part: tuple[str, str], question: Question) -> tuple[str, ...]:
    """The attributes that a held-out pair is about: a garment is one attribute, a subject and its colour are two."""
    thing, value = part
    if thing in question.stated:
        return (thing,)
    return ("subject", "style" if question.wanted["style"] == value else "color")


def drawn(questions: Sequence[Question], size: tuple[int, int]) -> Tensor:
    """The true pictures of the questions, (N, 3, H, W) in [-1, 1], drawn at the longer side of `size` and fitted."""
    pictures = np.stack([vignettes.draw(q.scene, max(size), truth=False).image for q in questions])
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    width, height = size
    return x if x.shape[-2:] == (height, width) else torch.nn.functional.interpolate(x, (height, width), mode="area")


def through(space, pictures: Tensor, batch: int = 16) -> Tensor:
    """Pictures encoded and decoded: the best that a model with this autoencoder could paint."""
    return torch.cat([space.decode(space.encode(part)).clamp(-1, 1) for part in pictures.split(batch)])


def judged(judge: Judge, questions: Sequence[Question], pictures: Tensor) -> Scores:
    return score_attributes(questions, judge.predict(pictures))
