"""Keeping the rest: four ways to join an edit to its picture (Avrahami et al. 2023, figure 4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from pydantic import Field
from torch import Tensor

from sfumato.data import vignettes
from sfumato.denoise import bind
from sfumato.edit import DecoderTuning, Imputation, LatentOptimisation, NoiseStart, paste, poisson
from sfumato.edit.reconstruction import Reconstruction
from sfumato.element import Real, Whole, element
from sfumato.evaluate.metrics import difference, psnr, seam
from sfumato.model.batch import Batch
from sfumato.model.pipe import Pipe
from sfumato.picture import BadInput
from sfumato.sample import DPMpp2M, trajectory
from sfumato.space import Latent
from sfumato.space.pixels import mask_to_tensor, to_images, to_tensor
from sfumato.study.pictures import WORLD, guided, recipe_for, standard_error, subject
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study, Tick
from sfumato.study.style import BLUE, panels, strips


@element
class CompositesSettings:
    """count: how many scenes of the built-in world are edited; shown: how many of them in the figure; steps of each
    edit; guidance: scale of classifier-free guidance."""

    count: Whole = Field(default=24, ge=2, le=10_000, description="a whole number from 2")
    shown: Whole = Field(default=6, ge=1, le=12, description="a whole number from 1 to 12")
    steps: Whole = Field(default=20, ge=1, le=1000, description="a whole number from 1 to 1000")
    guidance: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0, where 1 is off")


def optimised(composite: Reconstruction) -> Callable[..., Image.Image]:
    """The last picture of an optimisation, before anything is pasted over it."""

    def last(batch: Batch, z: Tensor, held: Image.Image, decoded: Image.Image, mask: Image.Image) -> Image.Image:
        *_, drawn = composite.moved(batch.stage.space, z, to_tensor([held]), mask_to_tensor(mask))
        return to_images(drawn)[0]

    return last


def put(join: Callable[..., np.ndarray]) -> Callable[..., Image.Image]:
    """A composite of pixels."""
    return lambda batch, z, held, decoded, mask: Image.fromarray(
        join(np.asarray(held), np.asarray(decoded), np.asarray(mask))
    )


NONE = "none"
METHODS: dict[str, Callable[..., Image.Image]] = {
    NONE: lambda batch, z, held, decoded, mask: decoded,
    "paste": put(paste),
    "poisson": put(poisson),
    "latent": optimised(LatentOptimisation()),
    "decoder": optimised(DecoderTuning()),
}


def cells(s: CompositesSettings, model: Model | None) -> Sequence[Cell]:
    numbers = (n for n in range(10 * s.count) if vignettes.scene(WORLD, n).attributes["subject"] != "landscape")
    arguments = {"model": model, "steps": s.steps, "guidance": s.guidance}
    return [
        Cell(f"picture {i}", composited, {**arguments, "number": n})
        for i, n in zip(range(s.count), numbers, strict=False)
    ]


def composited(tick: Tick, model: Model, number: int, steps: int, guidance: float) -> Result:
    """Scene `number`, its middle painted anew by Blended Latent Diffusion, joined in every way and measured."""
    pipe: Pipe = model.load()
    if not isinstance(pipe.stage.space, Latent):
        raise BadInput(f"{model.name} paints pixels without an autoencoder, so there is nothing to join: choose a "
                       "model of latents.")  # fmt: skip
    recipe = subject(pipe, recipe_for(pipe, guidance, number, steps), number)
    batch = Batch(pipe.stage, [recipe], pipe.size)
    drawn = vignettes.draw(vignettes.scene(WORLD, number), max(pipe.size), truth=False).image
    held = Image.fromarray(drawn).resize(pipe.size)
    mask = middle(pipe.size)

    hold = Imputation(batch.cells(mask)).bind(batch.encoded(held), batch.schedule)
    denoise = bind(guided(pipe, [recipe]), pipe.stage.encode([recipe]))
    x, times = NoiseStart(batch.like)(denoise, batch.times, batch.noise)
    for step in trajectory(denoise, DPMpp2M(), x, times, batch.noise, hold):
        x = step.x
    with torch.no_grad():
        decoded = batch.pictures(x)[0]

    found: dict[str, Any] = {"words": recipe.prompt, "held": np.asarray(held), "mask": np.asarray(mask)}
    found["seam of the original"] = float(seam(to_tensor([held]), mask_to_tensor(mask)))
    for i, (name, method) in enumerate(METHODS.items()):
        began = time.perf_counter()
        picture = method(batch, x, held, decoded, mask)
        seconds = time.perf_counter() - began
        found[name] = np.asarray(picture)
        found[f"{name} figures"] = np.array([*figures(picture, held, decoded, mask), seconds])
        tick(i + 1, len(METHODS))
    return found


FIGURES = (
    "seam before pasting", "seam", "background PSNR", "background max", "background mean", "foreground PSNR", "seconds",
)  # fmt: skip


def figures(picture: Image.Image, held: Image.Image, decoded: Image.Image, mask: Image.Image) -> list[float]:
    """All of FIGURES but the seconds: of the picture as it is and, for the seam, as it is saved: pasted once more."""
    saved = Image.fromarray(paste(np.asarray(held), np.asarray(picture), np.asarray(mask)))
    m, (x, final, original, edited) = mask_to_tensor(mask), (to_tensor([p]) for p in (picture, saved, held, decoded))
    behind = difference(x, original, 1 - m)
    values = (seam(x, m), seam(final, m), behind.psnr, behind.max, behind.mean, psnr(x, edited, m))
    return [float(value) for value in values]


def middle(size: tuple[int, int]) -> Image.Image:
    """An ellipse over the middle of the picture, where the subject stands."""
    width, height = size
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((width * 0.28, height * 0.25, width * 0.75, height * 0.85), fill=255)
    return mask


def draw(s: CompositesSettings, results: Mapping[str, Result]) -> Report:
    found = [results[f"picture {i}"] for i in range(s.count)]
    table = {name: np.stack([one[f"{name} figures"] for one in found]) for name in METHODS}
    original = np.array([float(one["seam of the original"]) for one in found])
    rows = [_row(name, values) for name, values in table.items()]
    rows.append({"composite": "the original", "seam": float(original.mean())})
    shown = found[: s.shown]
    pictures = np.stack([np.stack([one["held"], _marked(one), *(one[name] for name in METHODS)]) for one in shown])
    means = {name: dict(zip(FIGURES, values.mean(0), strict=True)) for name, values in table.items()}
    return Report(
        [
            Drawing(
                "joined",
                strips(pictures, [""] * len(shown), ["picture", "mask", *METHODS], left=0.2, smooth=True),
                "A picture, where it is painted anew, what the decoder makes of the whole, and four ways to keep the "
                "rest; “latent” and “decoder” before the last paste.",
            ),
            Drawing("figures", _bars(table, original), "Means over all pictures; whiskers are standard errors."),
        ],
        rows,
        [
            f"Decoding alone alters the background to {means[NONE]['background PSNR']:.1f} dB; moving latents "
            f"brings it to {means['latent']['background PSNR']:.1f}, tuning the decoder to "
            f"{means['decoder']['background PSNR']:.1f}.",
            f"Steps across the mask's edge exceed those beside it by {original.mean():.1f} levels in the originals, "
            f"{means['paste']['seam']:.1f} pasted, {means['poisson']['seam']:.1f} by Poisson cloning, "
            f"{means['latent']['seam']:.1f} with latents moved and {means['decoder']['seam']:.1f} with the decoder "
            "tuned; every one of them keeps the background to the byte once it is pasted.",
        ],
    )


def _row(name: str, values: np.ndarray) -> dict[str, Any]:
    row: dict[str, Any] = {"composite": name}
    for title, column in zip(FIGURES, values.T, strict=True):
        row[title] = float(column.mean())
        row[f"{title} ±"] = standard_error(column)
    return row | {"pictures": len(values)}


def _marked(one: Result) -> np.ndarray:
    """The picture with the masked part in white."""
    return np.where(one["mask"][..., None] > 0, 255, one["held"]).astype(np.uint8)


def _bars(table: Mapping[str, np.ndarray], original: np.ndarray) -> Any:
    figure, axes = panels(1, 3, 2.8)
    titles = {"seam": "seam, levels of 255", "background PSNR": "background, dB", "foreground PSNR": "foreground, dB"}
    for panel, (title, words) in zip(axes[0], titles.items(), strict=True):
        at = FIGURES.index(title)
        names = [name for name, values in table.items() if values[:, at].mean() < 119]  # 120: to the byte
        names = [name for name in names if (title, name) != ("seam", NONE)]  # saved, that is pasted
        means = [table[name][:, at].mean() for name in names]
        panel.bar(names, means, yerr=[standard_error(table[name][:, at]) for name in names], color=BLUE, width=0.6)
        panel.set(title=words)
        panel.tick_params(axis="x", labelsize=8.5)
    axes[0, 0].axhline(original.mean(), color="black", linewidth=0.8, linestyle=":")
    return figure


STUDY = Study(
    title="Keeping the rest",
    summary="four ways to keep the rest of an edited picture: the seam, the background, the foreground",
    source="Avrahami, Fried & Lischinski 2023, section 4.2 and figure 4",
    about="An autoencoder alters the whole picture, also where nothing was to change. The middle of each picture is "
    "painted anew in latents, and joined to the original: by pasting, by Poisson cloning, by moving the latents or by "
    "tuning the decoder's weights for this picture, 75 steps of Adam each. The seam is the mean step across the mask's "
    "edge less the mean step beside it.",
    see=(
        "Pasted, the edge of the mask shows where the decoder's colours meet the picture's; Poisson cloning closes it "
        "but may shift the colours inside.",
        "Latents can't hold the picture's fine detail; the decoder's weights can, and the background comes back.",
        "The dotted line is the seam of the untouched original: a mask may follow an outline.",
    ),
    full=CompositesSettings(),
    quick=CompositesSettings(count=4, shown=4, steps=15),
    cells=cells,
    draw=draw,
    takes=Model.named,
    model="mini",
)
STUDIES.add("composites", STUDY)
