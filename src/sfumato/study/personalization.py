"""Personalization by every method, after the thesis "Conditioning diffusion models for image manipulation", section 4.4
(experiment 3)."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from sfumato.element import Listed, Real, Whole, element
from sfumato.picture import BadInput
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study
from sfumato.study.style import BLUE, panels, strips

RATES = {
    "dreambooth": 2e-4, "lora": 4e-3, "loha": 8e-3, "lokr": 8e-3, "textual-inversion": 3e-2, "pivotal-tuning": 4e-3,
    "hypernetwork": 2e-3, "bottleneck": 4e-3, "side-tuning": 2e-3,
}  # fmt: skip
"""Learning rates that suit the miniature; the thesis' own for Stable Diffusion are 5e-6, 1e-4 and 5e-4."""
PROMPTS = ("a painting of {}", "a starry night painting of {}", "a pencil sketch of {}")
"""The thesis' portrait and starry night; its space suit is no thing of the built-in world, a sketch stands for it."""


@element
class PersonalizationSettings:
    """subjects: how many; shots: pictures of each; held: others of it, to measure with. steps: of training, batch
    pictures each. methods: which. prior: pictures of the class that are kept beside, 0 for none. each: pictures of each
    prompt."""

    subjects: Whole = Field(default=10, ge=1, le=1000, description="a whole number from 1")
    shots: Whole = Field(default=5, ge=1, le=100, description="a whole number from 1")
    held: Whole = Field(default=8, ge=2, le=100, description="a whole number from 2")
    steps: Whole = Field(default=300, ge=1, le=100_000, description="a whole number from 1")
    batch: Whole = Field(default=4, ge=1, le=64, description="a whole number from 1 to 64")
    prior: Whole = Field(default=0, ge=0, le=1000, description="a whole number")
    each: Whole = Field(default=4, ge=1, le=64, description="a whole number from 1 to 64")
    guidance: Real = Field(default=4.0, ge=1, le=100, description="a number from 1")
    methods: Listed[str] = Field(default=tuple(RATES), max_length=50, description="a list of methods")


def cells(s: PersonalizationSettings, model: Model | None) -> Sequence[Cell]:
    from sfumato.train.method import METHODS

    if model is None:
        raise BadInput("Say which model is taught, as --model mini.")
    for name in s.methods:
        if name not in METHODS:
            raise BadInput(f"There is no method {name}: choose some of {', '.join(METHODS)}.")
    how = {"shots": s.shots, "held": s.held, "each": s.each, "guidance": s.guidance, "model": model}
    return [
        Cell(
            f"{method}, subject {number}",
            taught_and_measured,
            {**how, "method": method, "number": number, "steps": s.steps, "batch": s.batch, "prior": s.prior},
        )
        for number in range(s.subjects)
        for method in s.methods
    ]


def taught_and_measured(
    tick: Any, model: Model, method: str, number: int, steps: int, batch: int, prior: int, shots: int, held: int,
    each: int, guidance: float,
) -> Result:  # fmt: skip
    """One method on one subject: its figures, its pictures, and what it cost."""
    from sfumato import train
    from sfumato.data.subjects import unseen_subject
    from sfumato.evaluate.features import features
    from sfumato.evaluate.subject_fidelity import subject_fidelity

    subject, pipe = unseen_subject(number), model.load()
    size = pipe.size[0]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        seen, others = place / "seen", place / "held"
        for folder, pictures in ((seen, subject.pictures(shots, size)), (others, subject.pictures(held, size, shots))):
            folder.mkdir()
            for i, picture in enumerate(pictures):
                Image.fromarray(picture).save(folder / f"{i}.png")
        told: dict[str, object] = {
            "data.path": str(seen), "subject": subject.word, "kind": subject.kind, "model": model.name,
            "method.kind": method, "steps": steps, "batch": batch, "optimizer.lr": RATES.get(method, 1e-3),
            "every.sample": 10**6, "every.save": 10**6, "preview.each": 1, "preview.steps": 1, "threads": 1,
        }  # fmt: skip
        if prior:
            told["prior.count"] = prior
        began = time.perf_counter()
        said = [f"{key}={json.dumps(value)}" for key, value in told.items()]
        train.run("personalize", out=place / "run", overrides=said)
        seconds = time.perf_counter() - began
        figures = json.loads((place / "run" / "figures.json").read_text())
        taught, adapters = _taught(pipe, place / "run" / "export")
        extract = features("vignettes-features")
        found = subject_fidelity(
            *(taught, others, subject.word, subject.kind, extract),
            adapters=adapters, before=pipe, templates=PROMPTS, each=each, steps=20, guidance=guidance,
        )  # fmt: skip
        shown = [
            np.asarray(taught(prompt.replace("{}", subject.word), adapters=adapters, steps=20, seed=1).image)
            for prompt in PROMPTS
        ]
        kind = np.asarray(taught(PROMPTS[0].replace("{}", subject.kind), adapters=adapters, steps=20, seed=1).image)
    return {
        **{name: np.array(figure.value) for name, figure in found.figures.items()},
        "seconds": np.array(seconds),
        "parameters": np.array(figures["trained_parameters"]),
        "bytes": np.array(figures["bytes"]),
        "photo": subject.pictures(1, size)[0],
        "pictures": np.stack([*shown, kind]),
    }


def _taught(pipe: Any, export: Path) -> tuple[Any, list[Any]]:
    """The model with what a method left: another one, or the same and files beside it."""
    import sfumato
    from sfumato.adapt import adapters_in

    if (export / "model_index.json").is_file():
        return sfumato.load(export), []
    return pipe, adapters_in(export, allow_pickle=True)


FIGURES = ("subject", "nearest", "prior", "diversity", "ceiling", "floor", "diversity before", "seconds", "parameters")


def draw(s: PersonalizationSettings, results: Mapping[str, Result]) -> Report:
    rows = []
    for method in s.methods:
        found = [results[f"{method}, subject {number}"] for number in range(s.subjects)]
        row: dict[str, Any] = {"method": method}
        for name in (*FIGURES, "bytes"):
            values = [float(one[name]) for one in found]
            row[name] = float(np.mean(values))
            if name in ("subject", "prior", "diversity"):
                row[f"{name} ±"] = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
        row["learnt"] = (row["subject"] - row["floor"]) / max(row["ceiling"] - row["floor"], 1e-9)
        rows.append(row)
    drawings = [
        Drawing("pictures", _sheet(s, results), "The first subject: a photograph, the prompts, and the class alone."),
        Drawing("figures", _bars(rows), "Means over the subjects, between the class as it was and the subject itself."),
    ]
    order = " > ".join(row["method"] for row in sorted(rows, key=lambda row: -row["subject"]))
    small = " < ".join(row["method"] for row in sorted(rows, key=lambda row: row["bytes"]))
    return Report(drawings, rows, [f"Fidelity: {order}.", f"Size of what is left: {small}.", *map(_said, rows)])


def _said(row: Mapping[str, Any]) -> str:
    return (
        f"{row['method']} goes {100 * row['learnt']:.0f} % of the way from the class to the subject with "
        f"{row['parameters']:,.0f} numbers in {row['bytes'] / 2**20:.2f} MiB and {row['seconds']:.0f} s; the class is "
        f"{row['prior'] - row['floor']:+.3f} nearer to it than it was."
    )


def _sheet(s: PersonalizationSettings, results: Mapping[str, Result]) -> Any:
    rows = []
    for method in s.methods:
        one = results[f"{method}, subject 0"]
        rows.append([_large(picture) for picture in (one["photo"], *one["pictures"])])
    columns = ["photograph", *(prompt.replace("{}", "...") for prompt in PROMPTS), "the class"]
    return strips(np.array(rows), list(s.methods), columns, left=1.4, smooth=True)


def _large(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(np.asarray(picture)).resize((128, 128), Image.Resampling.BICUBIC))


def _bars(rows: Sequence[Mapping[str, Any]]) -> Any:
    titles = {"learnt": "of the way to the subject", "prior": "the class, like the subject", "bytes": "bytes"}
    figure, axes = panels(1, len(titles), 2.6)
    for panel, (key, words) in zip(np.atleast_1d(axes[0]), titles.items(), strict=True):
        panel.barh([row["method"] for row in rows], [row[key] for row in rows], color=BLUE)
        panel.set(title=words, xscale="log" if key == "bytes" else "linear")
        panel.tick_params(axis="y", labelsize=8)
    return figure


STUDY = Study(
    title="Personalization by every method",
    summary="a subject from five pictures: fidelity, drift of its class, file size and time of nine methods",
    source="the thesis Conditioning diffusion models for image manipulation, section 4.4 (experiment 3)",
    about="A figure that the model never saw, its clothes of a pattern of their own, is taught by every method from "
    "five pictures. Measured on others of it: how near what is painted of it comes, between the class as it was "
    "(the floor) and the subject itself (the ceiling); whether the class became the subject; what is left on the disk, "
    "and what it took.",
    see=(
        "The thesis expects DreamBooth, then LoRA, then textual inversion in fidelity, and the reverse in file size.",
        "A method may reach the subject and lose the class: prior and diversity tell.",
    ),
    full=PersonalizationSettings(),
    quick=PersonalizationSettings(subjects=1, steps=60, each=1, methods=("dreambooth", "lora", "textual-inversion")),
    cells=cells,
    draw=draw,
    model="mini",
    takes=Model.named,
)
STUDIES.add("personalization", STUDY)
