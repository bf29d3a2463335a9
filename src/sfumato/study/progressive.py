"""Progressive generation: what a model believes the picture to be at every step (Ho et al. 2020, figures 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from sfumato.edit import NoiseStart
from sfumato.element import Real, Whole, element
from sfumato.model.pipe import Pipe
from sfumato.noise import KeyedNoise
from sfumato.recipe import Recipe
from sfumato.sample import DDIM, DDPM, Step, trajectory
from sfumato.study.pictures import bound_denoiser, decoded, recipe_for, subject, words_of
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study, Tick
from sfumato.study.style import BLUE, GREEN, OCHRE, RED, SOFT, panels, strips
from sfumato.times import grid

COLUMNS = 9
FROZEN = (1.0, 0.8, 0.6, 0.4, 0.2)
BANDS = {"layout": (0.0, 1 / 16), "shapes": (1 / 16, 3 / 16), "detail": (3 / 16, 1.0)}  # cycles a pixel
BAND_COLOUR = dict(zip(BANDS, (BLUE, OCHRE, RED), strict=True))
SHOWN = 5


@element
class ProgressiveSettings:
    """subjects: how many scenes (or classes) are painted; steps of each; endings: how many pictures share a start;
    guidance: scale of classifier-free guidance (1 is off)."""

    subjects: Whole = Field(default=16, ge=1, le=1000, description="a whole number from 1 to 1000")
    steps: Whole = Field(default=50, ge=2, le=1000, description="a whole number from 2 to 1000")
    endings: Whole = Field(default=8, ge=2, le=8, description="a whole number from 2 to 8")
    guidance: Real = Field(default=4.0, ge=0, le=1000, description="a number from 0, where 1 is off")


def cells(s: ProgressiveSettings, model: Model | None) -> Sequence[Cell]:
    arguments = {"model": model, "steps": s.steps, "guidance": s.guidance}
    return [
        *(Cell(f"picture {n}", painting, {**arguments, "number": n}) for n in range(s.subjects)),
        Cell("start", walk_and_freeze, {**arguments, "number": 0}),
        *(
            Cell(f"from t = {t:g}", endings, {**arguments, "number": 0, "t": t, "count": s.endings}, ("start",))
            for t in FROZEN
        ),
    ]


def painting(tick: Tick, model: Model, steps: int, guidance: float, number: int) -> Result:
    """One picture by DDIM: x0-hat at COLUMNS times, and its distance to the final picture at every step."""
    pipe = model.load()
    recipe = subject(pipe, recipe_for(pipe, guidance, seed=number), number)
    frames = []
    for step in _walk(pipe, recipe, DDIM(), steps, tick):
        frames.append(decoded(pipe, step.prediction.x0)[0])  # type: ignore[union-attr]
    whole = np.stack(frames)
    errors = np.array([distances(frame, whole[-1]) for frame in whole])
    shown = (np.linspace(0, 1, COLUMNS) ** 1.7 * (steps - 1)).round().astype(int)  # most of it happens early
    known = grid("uniform", steps, pipe.stage.denoiser.schedule)[:-1].numpy()
    return {
        "strip": whole[shown], "shown": known[shown], "t": known, "named": words_of(recipe),
        "rms": errors[:, 0], "bands": errors[:, 1:],
    }  # fmt: skip


def distances(picture: np.ndarray, final: np.ndarray) -> np.ndarray:
    """(1 + bands,): the root mean square of the difference in levels of 255; and, for each band of frequencies, the
    difference's energy over the final picture's (its mean apart)."""
    off = picture.astype(np.float64) - final
    spectra = [np.abs(np.fft.fft2(a, axes=(0, 1))) ** 2 for a in (off, final - final.mean((0, 1)))]
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(off.shape[0]), np.fft.fftfreq(off.shape[1]), indexing="ij"))
    shares = []
    for low, high in BANDS.values():
        inside = (radius >= low) & (radius < high)
        lost, there = (spectrum[inside].sum() for spectrum in spectra)
        shares.append(lost / max(there, 1e-12))
    return np.array([np.sqrt((off**2).mean()), *shares])


def walk_and_freeze(tick: Tick, model: Model, steps: int, guidance: float, number: int) -> Result:
    """One ancestral walk, and where it stands at each time of FROZEN."""
    pipe = model.load()
    recipe = subject(pipe, recipe_for(pipe, guidance, seed=number), number)
    noise = KeyedNoise([recipe.seed])
    found = {_key(1.0): _begin(pipe, recipe, noise)[0].numpy()}
    wanted = {round((1 - t) * steps): _key(t) for t in FROZEN}
    for step in _walk(pipe, recipe, DDPM(), steps, tick):
        if step.index + 1 in wanted:
            found[wanted[step.index + 1]] = step.x[0].numpy()
    return {**found, "named": words_of(recipe)}


def endings(
    tick: Tick, started: Result, model: Model, steps: int, guidance: float, number: int, t: float, count: int
) -> Result:
    """`count` ancestral walks on from the same x_t: the picture believed in there, and the pictures that came of it."""
    pipe = model.load()
    recipe = subject(pipe, recipe_for(pipe, guidance, seed=number), number)
    x = torch.from_numpy(started[_key(t)])[None].expand(count, -1, -1, -1)
    denoise = bound_denoiser(pipe, [recipe] * count)
    times = grid("uniform", steps, denoise.schedule)[round((1 - t) * steps) :]
    noise = KeyedNoise([10_000 + i for i in range(count)])
    first, last = None, x
    for step in trajectory(denoise, DDPM(), x, times, noise):
        first = step.prediction if first is None else first
        last = step.x
        tick(step.index + 1, step.total)
    assert first is not None
    pictures = decoded(pipe, last)
    values = pictures.reshape(count, -1).astype(np.float64)
    apart = [np.sqrt(((values[i] - values[j]) ** 2).mean()) for i in range(count) for j in range(i)]
    return {"strip": np.concatenate([decoded(pipe, first.x0[:1]), pictures]), "apart": np.mean(apart)}


def _begin(pipe: Pipe, recipe: Recipe, noise: KeyedNoise) -> Tensor:
    space = pipe.stage.space
    like = torch.zeros(1, space.channels, *space.cells((recipe.width, recipe.height)))  # type: ignore[arg-type]
    return noise(like, "start")


def _walk(pipe: Pipe, recipe: Recipe, sampler: Any, steps: int, tick: Tick) -> Iterator[Step]:
    denoise, noise = bound_denoiser(pipe, [recipe]), KeyedNoise([recipe.seed])
    times = grid("uniform", steps, denoise.schedule)
    x, times = NoiseStart(_begin(pipe, recipe, noise))(denoise, times, noise)
    for step in trajectory(denoise, sampler, x, times, noise):
        tick(step.index + 1, step.total)
        yield step


def _key(t: float) -> str:
    return f"x at {t:g}"


def draw(s: ProgressiveSettings, results: Mapping[str, Result]) -> Report:
    paintings = [results[f"picture {n}"] for n in range(s.subjects)]
    frozen = [results[f"from t = {t:g}"] for t in FROZEN]
    t = paintings[0]["t"]
    bands = np.mean([found["bands"] for found in paintings], 0)
    rows = [
        {"t": float(t[i]), "rms distance": float(np.mean([found["rms"][i] for found in paintings]))}
        | {name: float(bands[i, j]) for j, name in enumerate(BANDS)}
        for i in range(len(t))
    ]
    half = {name: float(t[np.argmax(bands[:, j] < 0.5)]) for j, name in enumerate(BANDS)}
    settled = ", ".join(f"{name} at t = {when:.2f}" for name, when in half.items())
    apart = ", ".join(f"{float(found['apart']):.0f} from t = {t:g}" for t, found in zip(FROZEN, frozen, strict=True))
    first = paintings[0]
    return Report(
        [
            Drawing(
                "progressive",
                strips(
                    np.stack([found["strip"] for found in paintings[:SHOWN]]),
                    [""] * len(paintings[:SHOWN]),
                    [f"t = {when:.2f}" for when in first["shown"]],
                    left=0.05,
                    smooth=True,
                ),
                "What the model believes the clean picture to be, from noise (left) to the end. "
                + "; ".join(f"row {i + 1}: {found['named']}" for i, found in enumerate(paintings[:SHOWN])) + ".",
            ),
            Drawing("distance", _curves(t, paintings, bands), "How far what is believed is from what becomes of it."),
            Drawing(
                "shared",
                strips(
                    np.stack([found["strip"] for found in frozen]),
                    [f"t = {t:g}" for t in FROZEN],
                    ["believed", *(f"ending {i + 1}" for i in range(s.endings))],
                    left=0.8,
                    smooth=True,
                ),
                f"Pictures that share x_t and nothing after it ({results['start']['named']}). The later they part, the "
                "more they have in common: layout and colours first, then shapes, then strokes.",
            ),
        ],
        rows,
        [
            f"Half of what a picture is has been settled, band by band: {settled}.",
            f"Mean distance between endings that share x_t, in levels of 255: {apart}.",
        ],
    )  # fmt: skip


def _curves(t: np.ndarray, paintings: Sequence[Result], bands: np.ndarray) -> Any:
    figure, axes = panels(1, 2, 3.2)
    left, right = axes[0]
    for found in paintings:
        left.plot(t, found["rms"], color=SOFT, lw=0.6, alpha=0.5)
    left.plot(t, np.mean([found["rms"] for found in paintings], 0), color=GREEN, lw=2.4)
    left.set(title="distance to the final picture (levels of 255)", xlabel="t")
    for j, name in enumerate(BANDS):
        right.plot(t, bands[:, j], color=BAND_COLOUR[name], label=name)
    right.set(title="share that is still wrong, by fineness", xlabel="t", ylim=(0, 1.25))
    right.legend(loc="upper left", bbox_to_anchor=(0.68, 1.0))
    for panel in (left, right):
        panel.set_xlim(1, 0)
        panel.set_ylim(bottom=0)
    return figure


STUDY = Study(
    title="Progressive generation",
    summary="what a model believes the picture to be, from the first step to the last",
    source="Ho et al. 2020, figures 6 and 7",
    about="At every step the network says what the clean picture is, as far as it can be known: the mean of all "
    "pictures that fit the noisy one. At first that is a blur of the whole world, at the end one picture.",
    see=(
        "Each row begins as a blurred average, decides on a layout, then on shapes, and ends with strokes and edges.",
        "In the curves: coarse structure is right long before fine structure begins to be.",
        "In the last figure: pictures that part early share little; those that part late differ in details alone.",
    ),
    full=ProgressiveSettings(),
    quick=ProgressiveSettings(subjects=5, steps=25, endings=6),
    cells=cells,
    draw=draw,
    takes=Model.named,
    model="mini",
)
STUDIES.add("progressive", STUDY)
