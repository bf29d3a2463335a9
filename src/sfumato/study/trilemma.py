"""Seconds against quality against diversity, for every sampler: the generative learning trilemma (Xiao et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from sfumato.element import Listed, Real, Whole, element, nearest
from sfumato.picture import BadInput
from sfumato.sample import Sampler
from sfumato.study.measured_samples import SamplingSetup, cells_of, headings, spread, table_row, value
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study
from sfumato.study.style import COLOURS, SOFT, panels, plain_axis, strips

SPECIAL = ("consistency",)  # for networks that are consistency functions: others they refuse
ALL = tuple(name for name in Sampler.registry if name not in SPECIAL)
SOME = ("ddpm", "ddim", "heun", "dpmpp-2m", "dpmpp-2m-sde", "unipc", "adams-bashforth")
FAILED = 10.0  # times the lowest FID: a sampler that never comes below is not drawn


@element
class TrilemmaSettings:
    """count: pictures a row; true: how many they are compared with at most; samplers by name, each at every number of
    steps of `counts`; guidance: scale of classifier-free guidance (1 is off); resamples of each figure; against,
    features: "" for those that belong to the model."""

    count: Whole = Field(default=2000, ge=20, le=10**6, description="a whole number of at least 20")
    true: Whole = Field(default=10_000, ge=20, le=10**6, description="a whole number of at least 20")
    samplers: Listed[str] = Field(default=ALL, min_length=1, description="a list of samplers' names")
    counts: Listed[Whole] = Field(default=(4, 8, 16, 32, 64), min_length=1, description="a list of whole numbers")
    guidance: Real = Field(default=1.0, ge=0, le=1000, description="a number from 0, where 1 is off")
    resamples: Whole = Field(default=50, ge=0, le=10_000, description="a whole number from 0 to 10,000")
    against: str = Field(default="", description="a folder, FILE.npz:NAME or vignettes")
    features: str = Field(default="", description="features as `sfumato evaluate` names them")


def setups(s: TrilemmaSettings) -> dict[str, SamplingSetup]:
    """Every sampler at every number of steps."""
    return {
        f"{sampler}, {n} steps": SamplingSetup(guidance_scale=s.guidance, sampler=sampler, steps=n)
        for sampler in s.samplers
        for n in s.counts
    }


def cells(s: TrilemmaSettings, model: Model | None) -> Sequence[Cell]:
    assert model is not None
    for name in s.samplers:
        if name not in ALL:
            raise BadInput(f"There is no sampler {name!r} here{nearest(name, ALL)}: choose some of {', '.join(ALL)}.")
    return cells_of(s, setups(s), model)


def draw(s: TrilemmaSettings, results: Mapping[str, Result]) -> Report:
    lines = {name: [results[f"{name}, {n} steps"] for n in s.counts] for name in s.samplers}
    rows: list[dict[str, Any]] = [{"sampler": "true pictures, half against half", **table_row(results["ceiling"])}]
    rows += [
        {
            "sampler": name,
            "steps": n,
            "seconds a picture": float(found["each"]),
            "network rows a picture": float(found["rows"]),
            **table_row(found),
        }
        for name, line in lines.items()
        for n, found in zip(s.counts, line, strict=True)
    ]
    drawn = working(lines)
    return Report(
        [
            Drawing(
                "trilemma",
                _curves(drawn, results["ceiling"]),
                "Each line is a sampler, each mark a number of steps "
                f"({', '.join(str(n) for n in s.counts)}, from left to right). "
                "Dashed: one half of the true pictures against the other.",
            ),
            Drawing(
                "front", _front(drawn), "Quality against diversity; the larger the mark, the more seconds it took."
            ),
            Drawing(
                "pictures",
                strips(
                    np.stack([results[f"{name}, {s.counts[0]} steps, 0"]["pictures"][:10] for name in s.samplers]),
                    list(s.samplers),
                    headings(results[f"{s.samplers[0]}, {s.counts[0]} steps, 0"]),
                    left=1.6,
                ),
                f"The same seeds and classes at {s.counts[0]} steps: where samplers differ most.",
            ),
        ],
        rows,
        [f"Compared with {results['true pictures']['said']}.", *_said(s, lines)],
    )


def working(lines: Mapping[str, Sequence[Result]]) -> dict[str, Sequence[Result]]:
    """The samplers that come below FAILED times the lowest FID of all at some number of steps."""
    best = {name: min(value(found, "fid") for found in line) for name, line in lines.items()}
    return {name: line for name, line in lines.items() if best[name] <= FAILED * min(best.values())}


def _said(s: TrilemmaSettings, lines: Mapping[str, Sequence[Result]]) -> list[str]:
    """The best sampler for each budget of network rows, by FID."""
    said = []
    for budget in s.counts:
        within = [
            (value(found, "fid"), name, n)
            for name, line in lines.items()
            for n, found in zip(s.counts, line, strict=True)
            if float(found["rows"]) <= budget
        ]
        if within:
            fid, name, n = min(within)
            said.append(f"With at most {budget} network rows a picture: {name} at {n} steps, FID {fid:.2f}.")
    if failed := [name for name in lines if name not in working(lines)]:
        said.append(f"Not drawn, for they fail at so few steps (see the table): {', '.join(failed)}.")
    return said


def _curves(lines: Mapping[str, Sequence[Result]], ceiling: Result) -> Any:
    figure, axes = panels(1, 3, 4.0)
    readings = (
        ("fid", "each", "FID (lower is better)", "seconds a picture"),
        ("recall", "each", "recall (higher is more diverse)", "seconds a picture"),
        ("fid", "rows", "FID, whatever the machine", "network rows a picture"),
    )
    lowest = min(value(found, "fid") for line in lines.values() for found in line)
    for panel, (key, cost, title, words) in zip(axes[0], readings, strict=True):
        for i, (name, line) in enumerate(lines.items()):
            x, y = [float(found[cost]) for found in line], [value(found, key) for found in line]
            panel.errorbar(x, y, [spread(found, key) for found in line], fmt="none", ecolor=_look(i)["color"],
                           elinewidth=0.5, alpha=0.4)  # fmt: skip
            panel.plot(x, y, marker="o", ms=3.4, lw=1.4, label=name, **_look(i))
        panel.axhline(value(ceiling, key), color=SOFT, ls="--", lw=0.9)
        panel.set(title=title, xlabel=words, xscale="log")
        plain_axis(panel.xaxis)
        if key == "fid":
            panel.set_yscale("log")
            panel.set_ylim(bottom=0.7 * min(value(ceiling, "fid"), lowest))
            plain_axis(panel.yaxis)
    _legend(figure, axes[0, 0], len(lines))
    return figure


def _front(lines: Mapping[str, Sequence[Result]]) -> Any:
    figure, axes = panels(1, 1, 4.6)
    panel = axes[0, 0]
    quickest = min(float(found["each"]) for line in lines.values() for found in line)
    for i, (name, line) in enumerate(lines.items()):
        x, y = ([value(found, key) for found in line] for key in ("recall", "fid"))
        panel.plot(x, y, lw=1.0, label=name, **_look(i))
        size = [22 * (float(found["each"]) / quickest) ** 0.5 for found in line]
        panel.scatter(x, y, s=size, color=_look(i)["color"], edgecolor="white", lw=0.5, zorder=3)
    panel.set(xlabel="recall (more diverse to the right)", ylabel="FID (better below)", yscale="log")
    plain_axis(panel.yaxis)
    _legend(figure, panel, len(lines))
    return figure


def _look(i: int) -> dict[str, Any]:
    return {"color": COLOURS[i % len(COLOURS)], "ls": ("-", "--", ":")[i // len(COLOURS) % 3]}


def _legend(figure: Any, axes: Any, count: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(count, 7), fontsize=8.5)


STUDY = Study(
    title="The trilemma",
    summary="seconds against FID against recall, for every sampler and number of steps",
    source="Xiao et al. 2022, figure 1",
    about="No generative model is fast, good and diverse at once, says the trilemma; diffusion is good and diverse, "
    "and slow. How slow is the sampler's affair: every sampler here asks the same network, with the same seeds, and "
    "spends its calls in its own way. Seconds are this machine's, with whatever else it had to do.",
    see=(
        "At few steps samplers differ most; given steps they come down to one floor, which is the network's own error.",
        "A step of Heun asks the network twice: on the right it stands where it belongs.",
        "A stochastic sampler beside its deterministic kin (ddpm and ddim, dpmpp-2m-sde and dpmpp-2m): fresh noise "
        "mends earlier errors, and moves along the line from diversity to fidelity.",
    ),
    full=TrilemmaSettings(),
    quick=TrilemmaSettings(count=120, true=1000, samplers=SOME, counts=(4, 8, 16), resamples=20),
    cells=cells,
    draw=draw,
    takes=Model.named,
    model="fashion",
)
STUDIES.add("trilemma", STUDY)
