"""Personalization by every method, after the thesis "Conditioning diffusion models for image manipulation", section 4.4
(experiment 3)."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from sfumato.data.array_cache import digest
from sfumato.data.folder import entries
from sfumato.element import Listed, Real, Whole, element
from sfumato.element.name_and_options import name_and_options
from sfumato.evaluate.statistics import over_subjects
from sfumato.picture import BadInput
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study
from sfumato.study.style import BLUE, panels, strips
from sfumato.zoo import built_ins

RATES = {
    "dreambooth": 2e-4, "lora": 4e-3, "loha": 8e-3, "lokr": 8e-3, "textual-inversion": 1e-2, "pivotal-tuning": 4e-3,
    "hypernetwork": 2e-3, "bottleneck": 4e-3, "side-tuning": 2e-3,
}  # fmt: skip
"""Learning rates that suit the built-in models."""
WAYS = (*RATES, "lora:convolutions=true", "lora:dora=true")
"""All methods, and of LoRA also LoCon and DoRA."""
THESIS = {"dreambooth": 5e-6, "lora": 1e-4, "textual-inversion": 5e-4}
"""The thesis' own for Stable Diffusion, LoRA's along a cosine; the other methods' are scaled as DreamBooth's is."""
PROMPTS = ("a painting of {}", "a starry night painting of {}", "a pencil sketch of {}")
"""The thesis' portrait and starry night; its space suit is no thing of the built-in world, a sketch stands for it."""
BASE = (
    "a painting of a red boat on the sea",
    "a watercolour of a blue house in the hills at sunset",
    "a painting of flowers in a pink vase",
    "an oil painting of an old windmill in the snow",
)
"""Of other things: what the model painted of them before is what it may forget."""
SEED = 2_000_003
BEFORE = "the model as it was"


@element
class PersonalizationSettings:
    """subjects: how many; shots: pictures of each; held: others of it, to measure with. steps: of training, batch
    pictures each. methods: which, with options as lora:dora=true. prior: pictures of the class that are kept beside, 0
    for none. each: pictures of each prompt. photos: a folder of a subject of one's own in the place of the drawn ones,
    called `word`, of the class `kind`; what is painted is compared with the same pictures. prompts: in which {} is the
    subject; base: of other things. features: what subjects are compared by; texts: what reads prompts where those
    don't."""

    subjects: Whole = Field(default=10, ge=1, le=1000, description="a whole number from 1")
    shots: Whole = Field(default=5, ge=1, le=100, description="a whole number from 1")
    held: Whole = Field(default=8, ge=2, le=100, description="a whole number from 2")
    steps: Whole = Field(default=300, ge=1, le=100_000, description="a whole number from 1")
    batch: Whole = Field(default=4, ge=1, le=64, description="a whole number from 1 to 64")
    prior: Whole = Field(default=0, ge=0, le=1000, description="a whole number")
    each: Whole = Field(default=4, ge=1, le=64, description="a whole number from 1 to 64")
    guidance: Real = Field(default=4.0, ge=1, le=100, description="a number from 1")
    methods: Listed[str] = Field(default=WAYS, max_length=50, description="a list of methods")
    photos: str = Field(default="", max_length=4096, description="a folder of pictures")
    word: str = Field(default="sks", max_length=100, description="what prompts call the subject")
    kind: str = Field(default="", max_length=100, description="what the subject is one of")
    prompts: Listed[str] = Field(default=PROMPTS, max_length=20, description="a list of prompts with {} in them")
    base: Listed[str] = Field(default=BASE, max_length=50, description="a list of prompts")
    features: str = Field(default="vignettes-features", max_length=4096, description="features by name, or a folder")
    texts: str = Field(default="mini/clip", max_length=4096, description="features that read texts")


def cells(s: PersonalizationSettings, model: Model | None) -> Sequence[Cell]:
    from sfumato.train.method import METHODS

    if model is None:
        raise BadInput("Say which model is taught, as --model mini.")
    for method in s.methods:
        if (name := name_and_options(method)[0]) not in METHODS:
            raise BadInput(f"There is no method {name}: choose some of {', '.join(METHODS)}.")
    if any("{}" not in prompt for prompt in s.prompts) or not s.prompts:
        raise BadInput("prompts: each names the subject as {}, as in 'a painting of {}'.")
    subjects: list[dict[str, Any]] = [{"number": number} for number in range(s.subjects)]
    if s.photos:
        subjects = [_own(s)]
    painted = {"model": model, "prompts": list(s.base), "each": s.each, "guidance": s.guidance}
    how = {"shots": s.shots, "held": s.held, "steps": s.steps, "batch": s.batch, "prior": s.prior}
    how |= {"asked": list(s.prompts), "features": s.features, "texts": s.texts, **painted}
    return [
        Cell(BEFORE, base_pictures, painted),
        *(
            Cell(
                f"{method}, subject {i}", taught_and_measured, {**how, "method": method, "subject": subject}, (BEFORE,)
            )
            for i, subject in enumerate(subjects)
            for method in s.methods
        ),
    ]


def _own(s: PersonalizationSettings) -> dict[str, Any]:
    """The user's own subject, and a hash of its pictures."""
    if not s.kind:
        raise BadInput("photos: say what they show one of, as --set kind=woman, to see whether that stays.")
    files = [entry.path for entry in entries(Path(s.photos))]
    inside = [sha256(path.read_bytes()).hexdigest() for path in files]
    return {"photos": str(Path(s.photos).resolve()), "hash": digest(inside), "word": s.word, "kind": s.kind}


def base_pictures(tick: Any, model: Model, prompts: list[str], each: int, guidance: float) -> Result:
    """What the model paints of other things before it is taught anything."""
    return {"pictures": _of_base(model.load(), (), prompts, each, guidance)}


def _of_base(pipe: Any, adapters: Sequence[Any], prompts: list[str], each: int, guidance: float) -> np.ndarray:
    from sfumato.evaluate.subject_fidelity import paint
    from sfumato.guide import ClassifierFree

    said = [prompt for prompt in prompts for _ in range(each)]
    options = {"adapters": adapters, "guidance": [ClassifierFree(guidance)], "steps": 20}
    return np.stack([np.asarray(picture) for picture in paint(pipe, said, seed=SEED, **options)])


def taught_and_measured(
    tick: Any, before: Result, model: Model, method: str, subject: dict[str, Any], steps: int, batch: int, prior: int,
    shots: int, held: int, each: int, guidance: float, asked: list[str], prompts: list[str], features: str, texts: str,
) -> Result:  # fmt: skip
    """One method on one subject: its figures, its pictures, and what it cost."""
    from sfumato import train
    from sfumato.evaluate.features import features as named
    from sfumato.evaluate.forgetting import forgetting
    from sfumato.evaluate.subject_fidelity import photographs, subject_fidelity

    pipe = model.load()
    size = pipe.size[0]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        word, kind, seen, others = _pictures(subject, place, size, shots, held)
        told: dict[str, object] = {
            "data.path": str(seen), "subject": word, "kind": kind, "model": model.name,
            "method": method, "steps": steps, "batch": batch, **_rates(method, model.name),
            "every.sample": 10**6, "every.save": 10**6, "preview.each": 1, "preview.steps": 1,
            "preview.features": None, "threads": 1,
        }  # fmt: skip
        if prior:
            told["prior.count"] = prior
        began = time.perf_counter()
        said = [f"{key}={json.dumps(value)}" for key, value in told.items()]
        train.run("personalize", out=place / "run", overrides=said)
        seconds = time.perf_counter() - began
        figures = json.loads((place / "run" / "figures.json").read_text())
        taught, adapters = _taught(pipe, place / "run" / "export")
        extract, reads = named(features), named(texts) if texts else None
        found = subject_fidelity(
            *(taught, others, word, kind, extract),
            adapters=adapters, before=pipe, reads=reads, templates=asked, each=each, steps=20, guidance=guidance,
        )  # fmt: skip
        base = [prompt for prompt in prompts for _ in range(each)]
        old, new = (
            [Image.fromarray(np.asarray(picture)) for picture in pictures]
            for pictures in (before["pictures"], _of_base(taught, adapters, prompts, each, guidance))
        )
        lost = forgetting(old, new, base, extract, reads)
        shown = [
            np.asarray(taught(prompt.replace("{}", name), adapters=adapters, steps=20, seed=1).image)
            for prompt, name in (*((prompt, word) for prompt in asked), (asked[0], kind))
        ]
        photo = np.asarray(photographs(seen, pipe.size)[0])
    return {
        **{name: np.array(figure.value) for name, figure in {**found.figures, **lost}.items()},
        "seconds": np.array(seconds),
        "parameters": np.array(figures["trained_parameters"]),
        "bytes": np.array(figures["bytes"]),
        "photo": photo,
        "pictures": np.stack(shown),
    }


def _pictures(subject: Mapping[str, Any], place: Path, size: int, shots: int, held: int) -> tuple[str, str, Path, Path]:
    """What a subject is called and of which class; the folders of what is shown, and of what is measured with."""
    if "photos" in subject:
        return subject["word"], subject["kind"], Path(subject["photos"]), Path(subject["photos"])
    from sfumato.data.subjects import unseen_subject

    drawn, seen, others = unseen_subject(subject["number"]), place / "seen", place / "held"
    for folder, pictures in ((seen, drawn.pictures(shots, size)), (others, drawn.pictures(held, size, shots))):
        folder.mkdir()
        for i, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{i}.png")
    return drawn.word, drawn.kind, seen, others


def _rates(method: str, model: str) -> dict[str, object]:
    """The learning rate that suits a built-in model, elsewhere the thesis'."""
    method = name_and_options(method)[0]
    if model in built_ins():
        return {"optimizer.lr": RATES.get(method, 1e-3)}
    lr = THESIS.get(method, RATES.get(method, 1e-3) * THESIS["dreambooth"] / RATES["dreambooth"])
    return {"optimizer.lr": lr, "optimizer.schedule": "cosine" if method == "lora" else "constant"}


def _taught(pipe: Any, export: Path) -> tuple[Any, list[Any]]:
    """The model with what a method left: another one, or the same and files beside it."""
    import sfumato
    from sfumato.adapt import adapters_in

    if (export / "model_index.json").is_file():
        return sfumato.load(export), []
    return pipe, adapters_in(export, allow_pickle=True)


OVER = ("subject", "learnt", "prompt", "nearest", "prior", "diversity", "kept", "base")
"""Figures with an interval over the subjects."""
BESIDE = ("ceiling", "floor", "diversity before", "prompt before", "base before", "seconds", "parameters", "bytes")


def draw(s: PersonalizationSettings, results: Mapping[str, Result]) -> Report:
    count = 1 if s.photos else s.subjects
    found = {method: [_figures(results[f"{method}, subject {i}"]) for i in range(count)] for method in s.methods}
    rows = [_row(method, each) for method, each in found.items()]
    drawings = [
        Drawing("pictures", _sheet(s, results), "The first subject: a photograph, the prompts, and the class alone."),
        Drawing("figures", _bars(rows), "Means over the subjects, between the class as it was and the subject itself."),
    ]
    order = " > ".join(row["method"] for row in sorted(rows, key=lambda row: -row["subject"]))
    small = " < ".join(row["method"] for row in sorted(rows, key=lambda row: row["bytes"]))
    said = [f"Fidelity: {order}.", f"Size of what is left: {small}.", *_expected(found), *_share(found, rows)]
    return Report(drawings, rows, [*said, *map(_said, rows)])


def _figures(result: Result) -> dict[str, float]:
    """The numbers of one method on one subject, and the share of the way from the class to the subject."""
    one = {name: float(value) for name, value in result.items() if np.ndim(value) == 0}
    return one | {"learnt": (one["subject"] - one["floor"]) / max(one["ceiling"] - one["floor"], 1e-9)}


def _row(method: str, found: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"method": method}
    for name in OVER:
        if name in found[0]:
            figure = over_subjects([one[name] for one in found])
            row |= {name: figure.value, f"{name} low": figure.low, f"{name} high": figure.high}
    return row | {name: float(np.mean([one[name] for one in found])) for name in BESIDE if name in found[0]}


def _expected(found: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """Whether the order that the thesis expects holds, and by how much."""
    order = [method for method in THESIS if method in found]
    if len(order) < 2:
        return []
    told, holds = [], True
    for better, other in pairwise(order):
        pairs = zip(found[better], found[other], strict=True)
        ahead = over_subjects([one["learnt"] - two["learnt"] for one, two in pairs])
        holds = holds and ahead.value > 0
        told.append(f"{better} is {_points(ahead)} ahead of {other}")
    sizes = [np.mean([one["bytes"] for one in found[method]]) for method in order]
    smaller = all(one > other for one, other in pairwise(sizes))
    return [
        f"The thesis expects {' > '.join(order)} in fidelity: it {'holds' if holds else 'does not hold'} "
        f"({', '.join(told)}); and the reverse in file size: it {'holds' if smaller else 'does not hold'}."
    ]


def _points(figure: Any) -> str:
    """Percentage points of the way, with their interval where one is known."""
    between = "" if np.isnan(figure.low) else f" ({100 * figure.low:+.0f} to {100 * figure.high:+.0f})"
    return f"{100 * figure.value:+.0f} points of the way{between}"


def _share(found: Mapping[str, Sequence[Mapping[str, float]]], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How much of DreamBooth LoRA reaches, with how many of its numbers."""
    if not {"lora", "dreambooth"} <= found.keys():
        return []
    lora, whole = found["lora"], found["dreambooth"]
    reached = {
        name: over_subjects([one[name] for one in lora], [one[name] for one in whole]) for name in ("subject", "learnt")
    }
    size = {row["method"]: row["parameters"] for row in rows}
    return [
        f"LoRA reaches, in percent, {reached['subject'].percent()} of DreamBooth's subject fidelity and "
        f"{reached['learnt'].percent()} of its way from the class to the subject, with "
        f"{100 * size['lora'] / size['dreambooth']:.1f} of its numbers."
    ]


def _said(row: Mapping[str, Any]) -> str:
    forgot = f" and {1 - row['kept']:.3f} of other pictures changed" if "kept" in row else ""
    if "base" in row:
        forgot += f" (prompts {row['base'] - row['base before']:+.3f})"
    return (
        f"{row['method']} goes {100 * row['learnt']:.0f} % of the way from the class to the subject with "
        f"{row['parameters']:,.0f} numbers in {row['bytes'] / 2**20:.2f} MiB and {row['seconds']:.0f} s; the class is "
        f"{row['prior'] - row['floor']:+.3f} nearer to it than it was{forgot}."
    )


def _sheet(s: PersonalizationSettings, results: Mapping[str, Result]) -> Any:
    rows = []
    for method in s.methods:
        one = results[f"{method}, subject 0"]
        rows.append([_large(picture) for picture in (one["photo"], *one["pictures"])])
    columns = ["photograph", *(prompt.replace("{}", "...") for prompt in s.prompts), "the class"]
    left = max(1.4, 0.1 * max(map(len, s.methods)))  # inches
    return strips(np.array(rows), list(s.methods), columns, left=left, smooth=True)


def _large(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(np.asarray(picture)).resize((128, 128), Image.Resampling.BICUBIC))


def _bars(rows: Sequence[Mapping[str, Any]]) -> Any:
    titles = {"learnt": "of the way to the subject", "prior": "the class, like the subject"}
    titles |= {"kept": "other pictures, as they were", "bytes": "bytes"}
    figure, axes = panels(1, len(titles), 2.6)
    for panel, (key, words) in zip(np.atleast_1d(axes[0]), titles.items(), strict=True):
        panel.barh([row["method"] for row in rows], [row[key] for row in rows], color=BLUE)
        panel.set(title=words, xscale="log" if key == "bytes" else "linear")
        panel.tick_params(axis="y", labelsize=8)
    return figure


STUDY = Study(
    title="Personalization by every method",
    summary="a subject from five pictures: fidelity, what is forgotten, file size and time of nine methods",
    source="the thesis Conditioning diffusion models for image manipulation, section 4.4 (experiment 3)",
    about="A figure that the model never saw, its clothes of a pattern of their own, is taught by every method from "
    "five pictures. Measured on others of it: how near what is painted of it comes, between the class as it was "
    "(the floor) and the subject itself (the ceiling); whether the class became the subject; what is left on the disk, "
    "and what it took.",
    see=(
        "The thesis expects DreamBooth, then LoRA, then textual inversion in fidelity, and the reverse in file size.",
        "A method may reach the subject and lose the class: prior and diversity tell.",
        "What it forgets of all else: kept compares pictures of other things with those of the same seeds before "
        "(1: nothing changed), base how well they follow their prompts, beside base before.",
    ),
    full=PersonalizationSettings(),
    quick=PersonalizationSettings(subjects=1, steps=60, each=1, methods=("dreambooth", "lora", "textual-inversion")),
    cells=cells,
    draw=draw,
    model="mini",
    takes=Model.named,
)
STUDIES.add("personalization", STUDY)
