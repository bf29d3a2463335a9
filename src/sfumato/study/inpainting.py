"""Inpainting by four architectures, after the thesis "Conditioning diffusion models for image manipulation", section
4.3 (experiment 2, figures 4.6 to 4.16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from sfumato.element import Listed, Real, Whole, element
from sfumato.picture import BadInput
from sfumato.study import openai_images
from sfumato.study.filling import SIDE, TASKS, cost, fill_and_measure
from sfumato.study.measured_samples import StampedName
from sfumato.study.pictures import standard_error
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study
from sfumato.study.style import BLUE, panels, strips

WORDS = 4096
_NAME = "a model's name or folder, or nothing to leave it out"


@element
class InpaintingSettings:
    """count: pictures of each task; steps and guidance of each fill; nine: a model of nine channels; latent: one of
    latents that knows no masks; pixel: one of pixels that knows none, or one of pictures to pictures, as `sfumato train
    palette` exports; hosted: a model of the OpenAI images API. pictures, masks and prompts: files of one's own and what
    they shall show, instead of the built-in world's."""

    count: Whole = Field(default=24, ge=1, le=10_000, description="a whole number from 1")
    steps: Whole = Field(default=20, ge=1, le=1000, description="a whole number from 1 to 1000")
    guidance: Real = Field(default=4.0, ge=0, le=1000, description="a number from 0, where 1 is off")
    nine: str | None = Field(default="mini-inpaint", max_length=WORDS, description=_NAME)
    latent: str | None = Field(default="mini", max_length=WORDS, description=_NAME)
    pixel: str | None = Field(default="mini-pixel", max_length=WORDS, description=_NAME)
    hosted: str | None = Field(default="gpt-image-1", max_length=WORDS, description=_NAME)
    pictures: Listed[str] = Field(default=(), max_length=100, description="a list of files")
    masks: Listed[str] = Field(default=(), max_length=100, description="a list of files, white = repaint")
    prompts: Listed[str] = Field(default=(), max_length=100, description="a list of texts")


ARCHITECTURES = {
    "nine": "nine channels, latent",
    "latent": "zero-shot, latent",
    "pixel": "pixels",
    "hosted": "hosted",
}
SHORT = {"nine": "9 channels", "latent": "zero-shot", "pixel": "pixels", "hosted": "hosted"}


def cells(s: InpaintingSettings, model: Model | None) -> Sequence[Cell]:
    if not len(s.pictures) == len(s.masks) == len(s.prompts):
        raise BadInput("pictures, masks and prompts go together: give one mask and one prompt for each picture.")
    shared = {"steps": s.steps, "guidance": s.guidance}
    listed: list[Cell] = []
    for architecture, name in architectures(s).items():
        arguments = {"model": name if architecture == "hosted" else Model.named(name), **shared}
        if architecture != "hosted":
            listed.append(Cell(f"cost of {architecture}", cost, arguments))
        listed += [
            Cell(
                f"{architecture}, {title}", fill_and_measure, {**arguments, "architecture": architecture, "case": case}
            )
            for title, case in cases(s).items()
        ]
    return listed


def architectures(s: InpaintingSettings) -> dict[str, str]:
    """The architectures that are compared, and the model of each; the hosted one only where it can be asked."""
    named = {architecture: getattr(s, architecture) for architecture in ARCHITECTURES if getattr(s, architecture)}
    if openai_images.missing():
        named.pop("hosted", None)
    return named


def cases(s: InpaintingSettings) -> dict[str, dict[str, Any]]:
    """The argument of each cell that says its case, by title."""
    if s.pictures:
        own = zip(s.pictures, s.masks, s.prompts, strict=True)
        return {
            f"picture {i}": {
                "picture": asdict(StampedName.named(p)),
                "mask": asdict(StampedName.named(m)),
                "prompt": words,
            }
            for i, (p, m, words) in enumerate(own)
        }
    return {f"{task.name} {i}": {"task": task.name, "number": i} for task in TASKS for i in range(s.count)}


MEANS = (
    "asked", "all else", "distance", "seam", "seam, before", "background error", "background PSNR",
    "background error, pasted",
)  # fmt: skip


def draw(s: InpaintingSettings, results: Mapping[str, Result]) -> Report:
    shown, rows = architectures(s), []
    titles = list(cases(s))
    for architecture, name in shown.items():
        found = [results[f"{architecture}, {title}"] for title in titles]
        row: dict[str, Any] = {"architecture": ARCHITECTURES[architecture], "model": name}
        row |= {figure: _mean(found, figure) for figure in MEANS if figure in found[0]}
        if "asked" in found[0]:
            row["asked ±"] = standard_error([float(one["asked"]) for one in found])
        row |= dict(results[f"cost of {architecture}"]) if architecture != "hosted" else {}
        rows.append(row | {"pictures": len(found)})
    first = titles if s.pictures else [f"{task.name} 0" for task in TASKS]
    drawings = [Drawing("fills", _sheet(s, results, first), _CAPTION), Drawing("figures", _bars(rows), _BARS)]
    coding = [architecture for architecture in shown if "coded" in results[f"{architecture}, {first[0]}"]]
    if coding:
        drawings.append(Drawing("autoencoder", _artefacts(results, coding[0], first), _CODED))
    notes = [_said(row) for row in rows]
    if s.hosted and "hosted" not in shown:
        notes.append(f"The OpenAI images API was left out: {openai_images.missing()}.")
    return Report(drawings, rows, notes)


def _mean(found: Sequence[Result], figure: str) -> float:
    return float(np.mean([float(one[figure]) for one in found]))


def _sheet(s: InpaintingSettings, results: Mapping[str, Result], titles: Sequence[str]) -> Any:
    """A row for each case: the picture, the hole, and what every architecture makes of it, raw and pasted."""
    rows = []
    for title in titles:
        fills = [results[f"{architecture}, {title}"] for architecture in architectures(s)]
        one = fills[0]
        hidden = np.where(one["hole"][..., None] > 127, 255, one["before"]).astype(np.uint8)
        pictures = [one["before"], hidden, *(kind for fill in fills for kind in (fill["raw"], fill["pasted"]))]
        rows.append([_square(picture) for picture in pictures + ([one["after"]] if "after" in one else [])])
    columns = [
        "picture",
        "hole",
        *(word for architecture in architectures(s) for word in (SHORT[architecture], "pasted")),
    ]
    known = [] if s.pictures else ["true"]
    labels = [title.rsplit(" ", 1)[0].replace(" the", "\nthe") for title in titles]
    return strips(np.array(rows), labels, columns + known, left=1.0, smooth=True)


def _square(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(np.asarray(picture)).resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC))


def _artefacts(results: Mapping[str, Result], architecture: str, titles: Sequence[str]) -> Any:
    rows = []
    for title in titles:
        one = results[f"{architecture}, {title}"]
        apart = np.abs(one["before"].astype(int) - one["coded"]).clip(0, 63) * 4
        rows.append([_square(picture) for picture in (one["before"], one["coded"], apart.astype(np.uint8))])
    return strips(np.array(rows), [""] * len(rows), ["picture", "encoded and decoded", "difference x 4"], left=4.0)


def _bars(rows: Sequence[Mapping[str, Any]]) -> Any:
    titles = {
        "asked": "what was asked is there",
        "seam": "seam, levels of 255",
        "background error": "background, 255ths",
    }
    chosen = {figure: words for figure, words in titles.items() if all(figure in row for row in rows)}
    figure, axes = panels(1, len(chosen), 2.6)
    for panel, (key, words) in zip(np.atleast_1d(axes[0]), chosen.items(), strict=True):
        panel.bar([row["architecture"].replace(", ", ",\n") for row in rows], [row[key] for row in rows], color=BLUE)
        panel.set(title=words)
        panel.tick_params(axis="x", labelsize=8)
    return figure


def _said(row: Mapping[str, Any]) -> str:
    shown = f"shows what was asked in {100 * row['asked']:.0f} % and " if "asked" in row else ""
    spent = f"; {row['seconds']:.2f} s and {row['MiB']:.0f} MiB" if "seconds" in row else ""
    return (
        f"{row['architecture']} ({row['model']}) {shown}leaves the background {row['background error']:.1f} levels off "
        f"before it is pasted, {row['background error, pasted']:.0f} after{spent}."
    )


_CAPTION = "Each task's first picture, its hole, and what each architecture makes of it: as it comes, and pasted."
_BARS = "Means over all pictures."
_CODED = "Encoded and decoded without any painting: what an autoencoder loses outside every hole."

STUDY = Study(
    title="Inpainting by four architectures",
    summary="a mask off, a headset off, a scarf on: four architectures of inpainting, measured",
    source="the thesis Conditioning diffusion models for image manipulation, section 4.3 (experiment 2, figures 4.6 to "
    "4.16)",
    about="Three tasks: take a mask off, take a headset off, put a scarf on. A latent model of nine channels, trained "
    "to inpaint; two that never saw a mask and are held outside it, one of latents and one of pixels; and, where there "
    "is a key, a hosted model through its own API. The pictures are the built-in world's, of which the true answer is "
    "known; pictures, masks and prompts take one's own.",
    see=(
        "The judge reads whether the thing is gone or there. Distance is that of features to the true picture's, as a "
        "share of the distance before anything was done: below 1 the fill brought the picture nearer.",
        "A latent model alters the whole picture, also outside the hole: the autoencoder's loss, not the painter's. "
        "Pasted, the background is the picture's own to the byte.",
    ),
    full=InpaintingSettings(),
    quick=InpaintingSettings(count=3, steps=12),
    cells=cells,
    draw=draw,
)
STUDIES.add("inpainting", STUDY)
