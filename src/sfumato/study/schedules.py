"""Noise schedules beside each other: Nichol & Dhariwal 2021, figures 3 to 5, with exact figures for a known world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from sfumato.data import vignettes
from sfumato.element import Whole, element
from sfumato.noise import KeyedNoise
from sfumato.schedule import EDM, Cosine, Discrete, Flow, Schedule, log_snr, noised
from sfumato.space.pixels import to_images
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study, Tick
from sfumato.study.style import BLUE, GREEN, OCHRE, PLUM, RED, SOFT, label_lines, panels, strips

SCHEDULES: dict[str, Schedule] = {
    "linear": Discrete.named("linear"),
    "cosine": Cosine(),
    "scaled linear": Discrete.named("scaled_linear", beta_start=0.00085, beta_end=0.012),
    "flow": Flow(),
    "EDM": EDM(),
}
COLOUR = dict(zip(SCHEDULES, (BLUE, RED, OCHRE, GREEN, PLUM), strict=True))
SHOWN = ("linear", "cosine", "scaled linear", "flow")
BLIND, DONE = 0.05, 0.99  # below and above these shares of the variance a step has nothing to do
SKIPS = np.linspace(0, 0.6, 25)


@element
class SchedulesSettings:
    """pictures: how many of the built-in world are measured, at `size` pixels; knots: times at which curves are read;
    scene: the number of the picture that is noised."""

    pictures: Whole = Field(default=1500, ge=2, le=20_000, description="a whole number from 2 to 20,000")
    size: Whole = Field(default=32, ge=8, le=64, description="a whole number from 8 to 64")
    knots: Whole = Field(default=1000, ge=10, le=10_000, description="a whole number from 10 to 10,000")
    scene: Whole = Field(default=16, ge=0, le=2**31, description="a whole number")


def cells(s: SchedulesSettings, model: Model | None) -> Sequence[Cell]:
    curves = (Cell(name, schedule_curve, {"schedule": name, "knots": s.knots}, ("pictures",)) for name in SCHEDULES)
    return [
        Cell("pictures", spectrum, {"count": s.pictures, "size": s.size}),
        *curves,
        Cell("strips", strip, {"scene": s.scene}),
    ]  # fmt: skip


def spectrum(tick: Tick, count: int, size: int) -> Result:
    """The Gaussian that the built-in world's pictures fit: variances (n,) along the principal axes, mean (n,) on them.

    The last entry is what the mean has outside these axes; its variance is 0.
    """
    rows = np.empty((count, size * size * 3), dtype=np.float32)
    for i in range(count):
        rows[i] = vignettes.draw(vignettes.scene(0, i), size, truth=False).image.reshape(-1) / 127.5 - 1
        tick(i + 1, count)
    mean = rows.mean(0)
    _, values, axes = np.linalg.svd(rows - mean, full_matrices=False)
    along = axes @ mean
    rest = np.sqrt(max(float(mean @ mean - along @ along), 0.0))
    return {"variances": np.append(values.astype(np.float64) ** 2 / count, 0.0), "mean": np.append(along, rest)}


def schedule_curve(tick: Tick, world: Result, schedule: str, knots: int) -> Result:
    """Of one schedule: signal's share, log-SNR and what can be known at each t; the error of skipping first steps."""
    chosen = SCHEDULES[schedule]
    t = torch.arange(1, knots + 1, dtype=torch.float64) / knots
    alpha, sigma = chosen(t)
    variances, mean = torch.from_numpy(world["variances"]).double(), torch.from_numpy(world["mean"]).double()
    return {
        "t": t.numpy(),
        "signal": (alpha**2 / (alpha**2 + sigma**2)).numpy(),
        "log_snr": log_snr(chosen, t).numpy(),
        "known": known(alpha, sigma, variances).numpy(),
        "skipped": skipped(chosen, torch.from_numpy(1 - SKIPS), variances, mean).numpy(),
    }


def known(alpha: Tensor, sigma: Tensor, variances: Tensor) -> Tensor:
    """The share of the data's variance that the best denoiser knows: 1 - sum_i v_i s^2/(a^2 v_i + s^2) / sum_i v_i.

    alpha, sigma (T,); variances (n,) of Gaussian data along its axes. Its complement is the least squared error of any
    denoiser, for Gaussian data reached by E[x0 | x_t].
    """
    a, s = alpha[:, None] ** 2, sigma[:, None] ** 2
    return 1 - (variances * s / (a * variances + s)).sum(1) / variances.sum()


def skipped(schedule: Schedule, start: Tensor, variances: Tensor, mean: Tensor) -> Tensor:
    """The Fréchet distance to the data, over its spread, when sampling begins from pure noise at `start` instead of 1.

    For Gaussian data the probability flow is known (`sfumato.denoise.Gaussian.flow`): from N(0, n^2) at t it arrives
    along each axis at mean m - a m sqrt(v/c) and deviation n sqrt(v/c), c = a^2 v + s^2, n^2 = a^2 + s^2. The distance
    is that of eq. 6 of Heusel et al. 2017 (before squaring), on pixels. start (T,) -> (T,).
    """
    alpha, sigma = (each[:, None] for each in schedule(start))
    ratio = torch.sqrt(variances / (alpha**2 * variances + sigma**2))
    off = (alpha * mean * ratio) ** 2 + (torch.hypot(alpha, sigma) * ratio - variances.sqrt()) ** 2
    return torch.sqrt(off.sum(1) / variances.sum())


def strip(tick: Tick, scene: int) -> Result:
    """One picture noised by every schedule at nine times, with the same noise: (schedules, 9, H, W, 3)."""
    picture = vignettes.draw(vignettes.scene(0, scene), 96, truth=False).image
    x0 = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    eps = KeyedNoise([0])(x0, "strip")
    rows = []
    for name in SHOWN:
        times = torch.linspace(0, 1, 9, dtype=torch.float64)
        rows.append([_noised(SCHEDULES[name], x0, t, eps) for t in times])
    return {"pictures": np.array(rows)}


def _noised(schedule: Schedule, x0: Tensor, t: Tensor, eps: Tensor) -> np.ndarray:
    size = float(torch.hypot(*schedule(t)))
    return np.asarray(to_images(noised(schedule, x0, t, eps) / size)[0])


def draw(s: SchedulesSettings, results: Mapping[str, Result]) -> Report:
    curves = {name: results[name] for name in SCHEDULES}
    rows = [_row(name, found) for name, found in curves.items()]
    linear, cosine = rows[0], rows[1]
    return Report(
        [
            Drawing(
                "strips",
                strips(results["strips"]["pictures"], SHOWN, [f"t = {t:g}" for t in np.linspace(0, 1, 9)]),
                "One picture with the same noise at nine times. The linear schedule's last third is noise to the eye; "
                "the cosine schedule spreads the loss over its whole length.",
            ),
            Drawing("curves", _curves(curves), "Three readings of a schedule against time, 0 clean to 1 noise."),
            Drawing("wasted", _wasted(curves, rows), "Which steps do nothing, and what it costs to leave them out."),
        ],
        rows,
        [
            f"With the linear schedule the best possible denoiser knows less than 5 % of the pictures' variance in "
            f"{linear['blind share']:.0%} of its steps; with the cosine schedule in {cosine['blind share']:.0%}.",
            "Leaving out the first 20 % of the reverse steps moves the samples by "
            f"{linear['error at 20 % skipped']:.2f} of the data's spread with the linear schedule and by "
            f"{cosine['error at 20 % skipped']:.2f} with cosine.",
        ],
    )


def _row(name: str, found: Result) -> dict[str, Any]:
    blind, done = float((found["known"] < BLIND).mean()), float((found["known"] > DONE).mean())
    return {
        "schedule": name,
        "blind share": blind,
        "working share": 1 - blind - done,
        "finished share": done,
        "log-SNR at t = 1": float(found["log_snr"][-1]),
        "error at 20 % skipped": float(np.interp(0.2, SKIPS, found["skipped"])),
        "error at 40 % skipped": float(np.interp(0.4, SKIPS, found["skipped"])),
    }


def _curves(curves: Mapping[str, Result]) -> Any:
    figure, axes = panels(1, 3, 3.3)
    readings = (
        ("signal", "signal's share  α² / (α² + σ²)", (0, 1)),
        ("log_snr", "log-SNR  log(α² / σ²)", (-15, 15)),
        ("known", "variance known to the best denoiser", (0, 1)),
    )
    for panel, (key, title, limits) in zip(axes[0], readings, strict=True):
        for name, found in curves.items():
            panel.plot(found["t"], found[key], color=COLOUR[name], lw=2.2 if name in ("linear", "cosine") else 1.2)
        panel.set(title=title, xlim=(0, 1), ylim=limits, xlabel="t")
    axes[0, 2].axhspan(0, BLIND, color=SOFT, alpha=0.25, lw=0)
    axes[0, 0].legend(
        axes[0, 0].get_lines(), list(curves), loc="lower left", handlelength=1.2, labelspacing=0.3, fontsize=8.5
    )
    return figure


def _wasted(curves: Mapping[str, Result], rows: Sequence[Mapping[str, Any]]) -> Any:
    figure, axes = panels(1, 2, 3.4, width_ratios=(1, 1.05))
    bars, lines = axes[0]
    names = list(curves)
    for i, row in enumerate(rows):
        left = 0.0
        for key, shade in (("finished share", 0.3), ("working share", 1.0), ("blind share", 0.12)):
            bars.barh(i, row[key], left=left, color=COLOUR[names[i]], alpha=shade, height=0.62, lw=0)
            if row[key] > 0.08:
                ink = "white" if shade == 1 else "#23272e"
                bars.text(left + row[key] / 2, i, f"{row[key]:.0%}", ha="center", va="center", color=ink, fontsize=8.5)
            left += row[key]
    bars.set(yticks=range(len(names)), yticklabels=names, xlim=(0, 1), xlabel="t", title="which steps do the work")
    bars.invert_yaxis()
    bars.grid(False)
    for x, words in ((0.0, "finished\n(over 99 % known)"), (0.5, "at work"), (1.0, "blind\n(under 5 % known)")):
        bars.text(
            x, 1.01, words, transform=bars.transAxes, ha=("left", "center", "right")[round(2 * x)], va="bottom",
            color=SOFT, fontsize=8,
        )  # fmt: skip
    bars.set_title("which steps do the work", pad=30)
    ends = []
    for name, found in curves.items():
        lines.plot(SKIPS, found["skipped"], color=COLOUR[name], lw=2.2 if name in ("linear", "cosine") else 1.2)
        ends.append((float(found["skipped"][-1]), name, COLOUR[name]))
    lines.set(xlim=(0, 0.6), ylim=(0, 0.9), xlabel="share of the first reverse steps left out")
    lines.set_title("error of the samples, in spreads of the data", pad=30)
    label_lines(lines, ends)
    return figure


STUDY = Study(
    title="Noise schedules",
    summary="linear against cosine and others: how much of the picture is left, and which steps are wasted",
    source="Nichol & Dhariwal 2021, figures 3 to 5; Ho et al. 2020; Karras et al. 2022",
    about="A schedule says how fast a picture drowns in noise. The linear one of Ho et al. drowns small pictures too "
    "fast: its last steps see nothing but noise, and nothing is lost by leaving them out. The cosine schedule was made "
    "to mend that. Here the waste is not judged by a trained network but computed: pictures of the built-in world are "
    "fitted by a Gaussian, for which the best denoiser, its error, and the probability flow are known in closed form.",
    see=(
        "In the strips: rows lose the picture at different times, though all begin clean and end as noise.",
        "In the log-SNR: every schedule is a way to walk the same range of signal-to-noise ratios; steep stretches are "
        "walked in few steps.",
        "In the last figure: where the bar is pale on the right the denoiser is blind, and those steps can be left out "
        "for little (the flat beginning of the linear curve).",
        "A curve that does not begin at 0 ends its training short of pure noise: the scaled linear schedule still "
        "knows a part of every picture at t = 1, which sampling then lacks (Lin et al. 2023).",
    ),
    full=SchedulesSettings(),
    quick=SchedulesSettings(pictures=300),
    cells=cells,
    draw=draw,
)
STUDIES.add("schedules", STUDY)
