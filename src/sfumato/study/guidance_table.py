"""Guidance trades diversity for fidelity: Dhariwal & Nichol 2021, table 4; Ho & Salimans 2022, table 1 and figure 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field

from sfumato.element import Listed, Real, Whole, element
from sfumato.evaluate.metric import METRICS
from sfumato.study.measured_samples import SamplingSetup, apart, cells_of, headings, spread, table_row, value
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study
from sfumato.study.style import BLUE, GREEN, INK, OCHRE, PLUM, RED, SOFT, panels, strips

COLOURS = (BLUE, RED, OCHRE, GREEN, PLUM)


@element
class GuidanceSettings:
    """count: pictures a row; true: how many they are compared with at most; scales: of classifier guidance, walked by
    DDIM in `steps` steps; ws: strengths of classifier-free guidance, whose scale is 1 + w, at each number of steps of
    `counts`; resamples of each figure; against, features: "" for those that belong to the model."""

    count: Whole = Field(default=5000, ge=20, le=10**6, description="a whole number of at least 20")
    true: Whole = Field(default=10_000, ge=20, le=10**6, description="a whole number of at least 20")
    scales: Listed[Real] = Field(default=(1.0, 3.0, 10.0), description="a list of numbers above 0")
    steps: Whole = Field(default=25, ge=1, le=1000, description="a whole number from 1 to 1000")
    ws: Listed[Real] = Field(
        default=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 2.0, 3.0, 4.0),
        description="a list of numbers from 0",
    )
    counts: Listed[Whole] = Field(default=(8, 16, 64), description="a list of whole numbers")
    resamples: Whole = Field(default=100, ge=0, le=10_000, description="a whole number from 0 to 10,000")
    against: str = Field(default="", description="a folder, FILE.npz:NAME or vignettes")
    features: str = Field(default="", description="features as `sfumato evaluate` names them")


def adm(s: GuidanceSettings) -> dict[str, SamplingSetup]:
    """The rows of Dhariwal & Nichol's table: unconditional and conditional, without and with classifier guidance."""
    names = {False: "unconditional", True: "conditional"}
    return {
        f"{names[known]}, {f'classifier {scale:g}' if scale else 'plain'}": SamplingSetup(
            known, scale, 1.0, "ddim", s.steps
        )
        for known in (False, True)
        for scale in (0.0, *s.scales)
    }


def cfg(s: GuidanceSettings) -> dict[str, SamplingSetup]:
    """The rows of Ho & Salimans' table: w at each number of steps."""
    plain = SamplingSetup(sampler="ddim")
    return {f"w = {w:g}, {n} steps": replace(plain, guidance_scale=1 + w, steps=n) for n in s.counts for w in s.ws}


def cells(s: GuidanceSettings, model: Model | None) -> Sequence[Cell]:
    assert model is not None
    return cells_of(s, {**(adm(s) if model.load().classes else {}), **cfg(s)}, model)


def draw(s: GuidanceSettings, results: Mapping[str, Result]) -> Report:
    rows_adm = {name: results[name] for name in adm(s) if name in results}
    rows_cfg = {name: results[name] for name in cfg(s)}
    drawings, found = [], []
    if rows_adm:
        drawings += [
            Drawing(
                "classifier",
                _classifier(s, rows_adm, results["ceiling"]),
                "Classifier guidance, by its scale. Left: each line goes from no guidance (open) to the strongest; "
                "grey is one half of the true pictures against the other. Bars are 95 % intervals.",
            )
        ]  # fmt: skip
        found += _said(s, rows_adm)
    drawings += [
        Drawing(
            "classifier-free",
            _free(s, rows_cfg),
            "Classifier-free guidance. Left: FID against the Inception Score as w goes from 0 (open) upwards; right: "
            "what is gained and lost.",
        ),
        Drawing("pictures", _pictures(s, results, bool(rows_adm)), "The same seeds and classes under every guidance."),
    ]  # fmt: skip
    best = min(rows_cfg, key=lambda name: value(rows_cfg[name], "fid"))
    found += [f"Compared with {results['true pictures']['said']}."]
    found += [f"The lowest FID of classifier-free guidance is {value(rows_cfg[best], 'fid'):.2f}, at {best}."]
    table = [{"guidance": "true pictures, half against half", **table_row(results["ceiling"])}]
    table += [
        {
            "guidance": "classifier" if setup.classifier_scale else "none",
            "conditional": setup.conditional,
            "scale": setup.classifier_scale,
            "steps": setup.steps,
            **table_row(results[name]),
        }
        for name, setup in adm(s).items()
        if name in results
    ]
    table += [
        {
            "guidance": "classifier-free", "conditional": True, "scale": setup.guidance_scale,
            "w": setup.guidance_scale - 1, "steps": setup.steps, **table_row(results[name]),
        }
        for name, setup in cfg(s).items()
    ]  # fmt: skip
    return Report(drawings, table, found)


def _said(s: GuidanceSettings, rows: Mapping[str, Result]) -> list[str]:
    """How the strongest classifier guidance differs from none, where the intervals do not meet."""
    said = []
    for known in ("unconditional", "conditional"):
        plain, strong = rows[f"{known}, plain"], rows[f"{known}, classifier {s.scales[-1]:g}"]
        changes = ", ".join(
            f"{METRICS[name].title} from {value(plain, name):.2f} to {value(strong, name):.2f}"
            for name in ("fid", "is", "precision", "recall")
            if name in plain and apart(plain, strong, name)
        )
        moved = changes or "no figure for sure"
        said.append(f"{known.capitalize()}: guidance of scale {s.scales[-1]:g} moves {moved}.")
    return said


def _classifier(s: GuidanceSettings, rows: Mapping[str, Result], ceiling: Result) -> Any:
    figure, axes = panels(1, 3, 3.3)
    trade, fid, score = axes[0]
    scales = (0.0, *s.scales)
    places = np.arange(len(scales))
    for known, colour in (("unconditional", OCHRE), ("conditional", BLUE)):
        line = [found for name, found in rows.items() if name.startswith(f"{known},")]
        _trade(trade, line, colour, known)
        for panel, name in ((fid, "fid"), (score, "is")):
            if name in line[0]:
                bars = [spread(found, name) for found in line]
                panel.errorbar(places, [value(found, name) for found in line], bars, color=colour, marker="o", ms=4,
                               capsize=2, elinewidth=0.9, label=known)  # fmt: skip
    trade.plot(value(ceiling, "recall"), value(ceiling, "precision"), "s", color=SOFT, ms=6)
    trade.annotate("true", (value(ceiling, "recall"), value(ceiling, "precision")), xytext=(6, 4),
                   textcoords="offset points", color=SOFT)  # fmt: skip
    trade.set(title="fidelity against diversity", xlabel="recall", ylabel="precision")
    fid.set(title="FID (lower is better)")
    score.set(title="Inception Score (higher is better)")
    for panel in (fid, score):
        panel.set(xlabel="scale of the classifier", xticks=places, xticklabels=[f"{scale:g}" for scale in scales])
    fid.legend()
    return figure


def _trade(axes: Any, line: Sequence[Result], colour: str, label: str) -> None:
    """Precision over recall, from an open mark on."""
    x, y = ([value(found, name) for found in line] for name in ("recall", "precision"))
    bars = [[spread(found, name) for found in line] for name in ("recall", "precision")]
    axes.errorbar(x, y, bars[1], bars[0], color=colour, elinewidth=0.6, capsize=0, lw=1.6, label=label)
    axes.scatter(x[1:], y[1:], color=colour, s=22, zorder=3)
    axes.scatter(x[:1], y[:1], facecolor="white", edgecolor=colour, s=30, zorder=4, lw=1.4)


def _free(s: GuidanceSettings, rows: Mapping[str, Result]) -> Any:
    figure, axes = panels(1, 3, 3.3)
    curve, trade, both = axes[0]
    for n, colour in zip(s.counts, COLOURS, strict=False):
        line = [rows[f"w = {w:g}, {n} steps"] for w in s.ws]
        if "is" in line[0]:
            x, y = ([value(found, name) for found in line] for name in ("is", "fid"))
            curve.plot(x, y, "o-", color=colour, ms=3.5, lw=1.6, label=f"{n} steps")
            curve.scatter(x[:1], y[:1], facecolor="white", edgecolor=colour, s=30, zorder=4, lw=1.4)
            for i in {0, int(np.argmin(y)), len(y) - 1} if n == s.counts[-1] else ():
                curve.annotate(f"w = {s.ws[i]:g}", (x[i], y[i]), xytext=(5, 6), textcoords="offset points",
                               color=colour, fontsize=8)  # fmt: skip
        _trade(trade, line, colour, f"{n} steps")
    last = s.counts[-1]
    for name, style in (("precision", "-"), ("recall", "--")):
        line = [rows[f"w = {w:g}, {last} steps"] for w in s.ws]
        bars = [spread(found, name) for found in line]
        both.errorbar(s.ws, [value(found, name) for found in line], bars, color=INK, ls=style, marker="o", ms=3.5,
                      lw=1.6, elinewidth=0.6, label=name)  # fmt: skip
    curve.set(title="FID against Inception Score", xlabel="Inception Score", ylabel="FID")
    curve.legend()
    trade.set(title="fidelity against diversity", xlabel="recall", ylabel="precision")
    both.set(title=f"{last} steps", xlabel="w")
    both.legend()
    return figure


def _pictures(s: GuidanceSettings, results: Mapping[str, Result], classes: bool) -> Any:
    last, ws = s.counts[-1], (s.ws[0], s.ws[len(s.ws) // 2], s.ws[-1])
    names = [*(adm(s) if classes else {}), *dict.fromkeys(f"w = {w:g}, {last} steps" for w in ws)]
    return strips(
        np.stack([results[f"{name}, 0"]["pictures"][:10] for name in names]),
        names,
        headings(results[f"{names[-1]}, 0"]),
        left=2.1,
    )


STUDY = Study(
    title="What guidance buys, and what it costs",
    summary="guidance trades diversity for fidelity: FID, sFID, IS, precision and recall by strength",
    source="Dhariwal & Nichol 2021, table 4; Ho & Salimans 2022, table 1",
    about="Guidance makes pictures more like their class and more like each other. The Inception Score and precision "
    "praise that; recall counts what is lost; FID, which wants the whole distribution, falls at first and then rises. "
    "Distances are taken on the features named below: they compare rows of this table, not with papers' numbers.",
    see=(
        "The Inception Score rises with the strength of guidance and recall falls: pictures get surer and more alike.",
        "FID of classifier-free guidance has its minimum at a small w, and rises beyond it.",
        "A classifier makes an unconditional model surer of its classes, though less than telling it does; pushed hard "
        "it leaves marks that no true picture has.",
        "Fewer steps cost FID, most where guidance is weak.",
    ),
    full=GuidanceSettings(),
    quick=GuidanceSettings(
        count=150, true=1000, scales=(1.0, 10.0), steps=20, ws=(0.0, 1.0, 2.0, 4.0), counts=(4, 8, 16), resamples=50
    ),
    cells=cells,
    draw=draw,
    takes=Model.named,
    model="fashion",
)
STUDIES.add("guidance-table", STUDY)
