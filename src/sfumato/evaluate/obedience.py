"""Are instructions obeyed? Edits of the built-in world by a model that looks at the picture and is told what to change:
is what was asked for there, and is all else as it was?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from sfumato.data.vignettes import instructions
from sfumato.data.vignettes.instructions import Edit, touched
from sfumato.data.vignettes.scene import SPLITS, Split
from sfumato.evaluate.attributes import Verdict, through
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.model_samples import SampleSettings, recipe_of
from sfumato.evaluate.report_file import printed
from sfumato.evaluate.statistics import Figure, mean, share
from sfumato.guide import Instruct
from sfumato.picture import BadInput, keep_for_now
from sfumato.picture.errors import printable
from sfumato.progress import progress
from sfumato.recipe.prompt import literal
from sfumato.space.pixels import to_images, to_tensor

if TYPE_CHECKING:
    from sfumato.model import Pipe

PARTS = ("floor", "ours", "ceiling", "truth")
SHOWN = 24


@dataclass(frozen=True)
class Case:
    """An edit whose answer is known, at a size: the pictures before and after, and the instruction."""

    edit: Edit
    size: int

    @property
    def instruction(self) -> str:
        return self.edit.instructions[0]

    @cached_property
    def pictures(self) -> tuple[Image.Image, Image.Image]:
        before, after = instructions.pictures(self.edit, self.size)
        return Image.fromarray(before), Image.fromarray(after)

    @property
    def changed(self) -> dict[str, str]:
        """The attributes that the instruction changes, with their new values."""
        before, after = self.edit.before.attributes, self.edit.after.attributes
        return {name: value for name, value in after.items() if value != before[name]}

    @property
    def kind(self) -> str:
        """Of change: light, style, or something added, removed or of another colour."""
        name, value = next(iter(self.changed.items()))
        if name in ("light", "style"):
            return name
        none = [self.edit.before[name] == "none", value == "none"]
        return "added" if none[0] else "removed" if none[1] else "another colour"


@dataclass(frozen=True)
class Obeyed:
    """What a set of pictures shows of instructions. asked: the share in which the judge reads what was asked for;
    others: in which it reads all else as it was; both; apart: the mean difference in 255ths from the picture before,
    where nothing was to change."""

    asked: Figure
    others: Figure
    both: Figure
    apart: Figure


@dataclass(frozen=True)
class Obedience:
    """What was measured, of each of `PARTS`: the picture as it was, as the model changed it, and as it should be,
    through the model's autoencoder and as it is. kinds: what was asked for in ours, by kind of change. shown: before,
    ours, truth, with the instructions."""

    settings: dict[str, Any]
    parts: dict[str, Obeyed]
    kinds: dict[str, Figure]
    shown: list[tuple[str, list[Image.Image]]]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        parts = {
            part: {name: figure.to_dict() for name, figure in vars(found).items()} for part, found in self.parts.items()
        }
        kinds = {name: figure.to_dict() for name, figure in self.kinds.items()}
        versions = {name: version(name) for name in ("sfumato", "torch", "diffusers")}
        return {**self.settings, "parts": parts, "kinds": kinds, "seconds": self.seconds, "versions": versions}


def is_told_what_to_change(pipe: Pipe) -> bool:
    """Whether a model is made for instructions alone: what suits it is InstructPix2Pix's guidance."""
    return any(isinstance(each, Instruct) for each in pipe.stage.suits.guidance)


def run_obedience(
    pipe: Pipe,
    judge: Judge,
    *,
    count: int,
    split: str,
    sampling: SampleSettings,
    out: Path | None = None,
    json: bool = False,
) -> dict[str, Any]:
    """How well `pipe` does what it is told with `count` pictures of the world `sampling.seed`. Prints a table (with
    `json` the report), writes report.json and a sheet of pictures into the folder `out` if one is given, returns the
    report. BadInput for a model that looks at no picture."""
    from sfumato.evaluate.obedience_report import obedience_table, write_obedience_report

    found = measure_obedience(pipe, judge, count=count, split=split, sampling=sampling)
    if out is not None:
        write_obedience_report(found, Path(out))
    return printed(found.to_dict(), lambda: obedience_table(found), json)


def measure_obedience(
    pipe: Pipe, judge: Judge, *, count: int, split: str, sampling: SampleSettings, bar: bool = True
) -> Obedience:
    """See `run_obedience`."""
    began, (width, height) = time.perf_counter(), pipe.size
    if split not in SPLITS:
        raise BadInput(f"There is no split {printable(split)!r} of vignettes: accepted are {', '.join(SPLITS)}.")
    if not pipe.capabilities.references:
        raise BadInput(f"{pipe.name} looks at no picture while it paints, so it can't be told to change one.")
    if width != height:
        raise BadInput(f"{pipe.name} paints pictures of {width} x {height}, and vignettes are square.")
    cases = [Case(instructions.edit(sampling.seed, i, cast(Split, split)), width) for i in range(count)]
    plain = replace(recipe_of(pipe, sampling), guidance=pipe.stage.suits.scaled(sampling.guidance))
    pictures: dict[str, list[Image.Image]] = {"floor": [], "ours": [], "ceiling": [], "truth": []}
    with progress("painting", count, shown=bar) as advance:
        for i, case in enumerate(cases):
            before, after = case.pictures
            told = {"prompt": literal(case.instruction), "images": (keep_for_now(before),), "seed": sampling.seed + i}
            pictures["floor"].append(before)
            pictures["ours"] += pipe.run([replace(plain, **told)]).images
            pictures["truth"].append(after)
            advance(1)
    pictures["ceiling"] = to_images(through(pipe.stages[-1].space, to_tensor(pictures["truth"])))
    verdicts = {part: judge.predict(to_tensor(some)) for part, some in pictures.items()}
    done = [(case.kind, _shows(case, verdict)) for case, verdict in zip(cases, verdicts["ours"], strict=True)]
    kinds = {
        kind: share([right for each, right in done if each == kind]) for kind in sorted({kind for kind, _ in done})
    }
    settings = {"model": pipe.name, "count": count, "split": split, "size": width, **vars(sampling)}
    beside = zip(*(pictures[part][:SHOWN] for part in ("floor", "ours", "truth")), strict=True)
    shown = [(case.instruction, list(row)) for case, row in zip(cases, beside, strict=False)]
    parts = {part: scored(cases, pictures[part], verdicts[part]) for part in PARTS}
    return Obedience(settings, parts, kinds, shown, time.perf_counter() - began)


def scored(cases: Sequence[Case], pictures: Sequence[Image.Image], verdicts: Sequence[Verdict]) -> Obeyed:
    """What pictures show of the cases' instructions, as the judge reads them."""
    asked, others, apart = [], [], []
    for case, picture, verdict in zip(cases, pictures, verdicts, strict=True):
        wanted = case.edit.after.attributes
        asked.append(_shows(case, verdict))
        others.append(all(verdict[name] == value for name, value in wanted.items() if name not in case.changed))
        if not case.edit.everywhere:
            left = ~touched(case.edit, case.size)
            difference = np.abs(np.asarray(picture, float) - np.asarray(case.pictures[0], float))
            apart.append(float(difference[left].mean()))
    both = [a and o for a, o in zip(asked, others, strict=True)]
    return Obeyed(share(asked), share(others), share(both), mean(apart))


def _shows(case: Case, verdict: Verdict) -> bool:
    return all(verdict[name] == value for name, value in case.changed.items())
