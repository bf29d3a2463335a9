"""How well a subject is learnt while it is: subject and prompt fidelity of the sample grids, and which step was best.

| figure | what it is |
|---|---|
| subject | mean cosine of what is painted of the subject with its pictures (`evaluate.subject_fidelity`) |
| prompt | mean cosine of the same with their prompts, where the features read texts |

    score = (subject - subject_0) / (ceiling - subject_0) * min(1, prompt / prompt_0)

the share of the way from the model as it was (step 0) to the pictures among each other (ceiling), less what is lost of
the prompts: a subject that is learnt too long comes nearer still, and does no longer what it is told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from sfumato.evaluate.features import features
from sfumato.evaluate.features.extractor import POOL
from sfumato.evaluate.subject_fidelity import alike, cosines, each_other
from sfumato.picture.files import encode_png, write_atomically
from sfumato.space.pixels import to_tensor

SUBJECT, PROMPT = "subject_fidelity", "prompt_fidelity"


@dataclass(frozen=True)
class CurvePoint:
    """A point of the curves. prompt: 1 where the features read no texts; both as shares, see above."""

    number: int
    subject: float
    prompt: float

    @property
    def score(self) -> float:
        """Higher is better."""
        return self.subject * min(1.0, self.prompt)


class FidelityCurve:
    """Measures grids against the pictures of a subject. words: what each painted picture was to show, its class in the
    subject's place."""

    def __init__(self, name: str, photos: Sequence[np.ndarray], words: Sequence[str]) -> None:
        self.extract = features(name)
        self.real = np.concatenate([self._rows([each]) for each in photos])
        among = each_other(self.real).value
        self.ceiling = 1.0 if math.isnan(among) else among
        self.texts = None if self.extract.words is None else self.extract.words(list(words)).float().numpy()

    def _rows(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        found = self.extract(to_tensor([Image.fromarray(np.asarray(each)) for each in pictures]))
        return found[POOL].numpy().astype(np.float64)

    def __call__(self, painted: np.ndarray) -> dict[str, float]:
        """The figures of pictures uint8 (n, H, W, 3)."""
        rows = self._rows([*painted])
        found = {SUBJECT: alike(rows, self.real).value}
        if self.texts is not None:
            found[PROMPT] = float(np.diag(cosines(rows, self.texts)).mean())
        return found

    def steps(self, journal: Path) -> list[CurvePoint]:
        """What the journal of a run says of its grids, in order; nothing where the model came as near from the
        beginning as the pictures are to each other, as with some styles."""
        lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
        told = {line["step"]: line for line in lines if SUBJECT in line}
        if not told:
            return []
        first: dict[str, Any] = told[min(told)]
        way = self.ceiling - first[SUBJECT]
        if way <= 0:
            return []
        return [
            CurvePoint(
                number, (line[SUBJECT] - first[SUBJECT]) / way, line.get(PROMPT, 1.0) / (first.get(PROMPT) or 1.0)
            )
            for number, line in sorted(told.items())
        ]

    def conclusion(self, run: Path) -> list[str]:
        """One sentence, once there were at least three grids; the curves are drawn into fidelity.png of the run."""
        steps = self.steps(run / "scalars.jsonl")
        if len(steps) < 3:
            return []
        write_atomically(run / "fidelity.png", encode_png(drawn(steps, self.texts is not None)))
        best, last = max(steps, key=lambda each: (each.score, -each.number)), steps[-1]
        if best.score <= 0:
            return ["no step is nearer to the subject than the model was: train longer, or with a higher rate"]
        told = f"step {best.number} was best: {self._said(best)}"
        if best != last:
            told += f"; step {last.number}: {self._said(last)}: --steps {best.number} may do"
        return [f"{told} ({run / 'fidelity.png'})"]

    def _said(self, step: CurvePoint) -> str:
        follows = f", prompts followed {100 * step.prompt:.0f} % as well as before" if self.texts is not None else ""
        return f"{100 * step.subject:.0f} % of the way to the subject{follows}"


def drawn(steps: Sequence[CurvePoint], prompts: bool, width: int = 480, height: int = 280) -> Image.Image:
    """The curves over the steps, a line at the best of them: the way to the subject, and prompts as well as before."""
    picture = Image.new("RGB", (width, height), "white")
    draw, left, top, right, bottom = ImageDraw.Draw(picture), 44, 36, width - 16, height - 28
    curves = [("to the subject", (40, 90, 200), [each.subject for each in steps])]
    if prompts:
        curves.append(("prompts, as before = 1", (210, 110, 20), [each.prompt for each in steps]))
    values = [value for *_, found in curves for value in found]
    low, high = min(0.0, *values), max(1.0, *values)
    last = max(steps[-1].number, 1)

    def at(number: int, value: float) -> tuple[float, float]:
        return left + (right - left) * number / last, bottom - (bottom - top) * (value - low) / (high - low)

    for value in np.linspace(low, high, 5):
        draw.line([at(0, value), at(last, value)], (225, 225, 225))
        draw.text((4, at(0, value)[1] - 6), f"{value:.2f}", (90, 90, 90))
    best = max(steps, key=lambda each: (each.score, -each.number)).number
    draw.line([at(best, low), at(best, high)], (120, 170, 120), 2)
    for each in dict.fromkeys((0, best, steps[-1].number)):
        draw.text((at(each, low)[0] - 8, bottom + 8), str(each), (90, 90, 90))
    for i, (name, colour, found) in enumerate(curves):
        points = [at(each.number, value) for each, value in zip(steps, found, strict=True)]
        draw.line(points, colour, 2, joint="curve")
        draw.text((left + 170 * i, 10), name, colour)
    return picture
