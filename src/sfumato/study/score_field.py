"""Perturbed scores of a mixture, true and learned, and Langevin dynamics along them (Song & Ermon 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field

from sfumato.denoise import Denoiser, GaussianMixture
from sfumato.element import Whole, element
from sfumato.sample import trajectory
from sfumato.sample.langevin import Langevin
from sfumato.schedule import VE
from sfumato.study import point_clouds
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study, Tick
from sfumato.study.style import BLUE, EMBER, INK, OCHRE, RED, SMOKE, SOFT, arrows, panels, plane

SCHEDULE = {"kind": "ve", "sigma_min": 0.05, "sigma_max": 8.0}
CENTRES = ((-1.15, -0.75), (1.25, -0.6), (0.05, 1.15))
SPREAD = 0.22
WEIGHTS = (0.5, 0.2, 0.3)
SIGMAS = (0.1, 0.3, 1.0, 3.0)
REACH, SIDE = 3.0, 19
COLOURS = (BLUE, RED, OCHRE)
LEAST = 0.3  # of sigma times the score, which is 1 on average: shorter ones count as this long in an error's share
STEP = 0.3  # Langevin's step: a = STEP sigma^2


@element
class ScoreFieldSettings:
    """training: steps of training; batch and width of the network; levels of noise from the largest to the smallest;
    repeats: Langevin moves a level; count: how many points are moved."""

    training: Whole = Field(default=6000, ge=1, le=10**7, description="a whole number of at least 1")
    batch: Whole = Field(default=1024, ge=1, le=10**6, description="a whole number of at least 1")
    width: Whole = Field(default=128, ge=4, le=4096, description="a whole number from 4 to 4096")
    levels: Whole = Field(default=16, ge=2, le=1000, description="a whole number from 2 to 1000")
    repeats: Whole = Field(default=40, ge=1, le=100_000, description="a whole number of at least 1")
    count: Whole = Field(default=4000, ge=10, le=100_000, description="a whole number from 10 to 100,000")


def mixture() -> GaussianMixture:
    """Three Gaussians in the plane, of weights 0.5, 0.2 and 0.3, on a variance-exploding schedule."""
    schedule = VE(SCHEDULE["sigma_min"], SCHEDULE["sigma_max"])
    return GaussianMixture(schedule, torch.tensor(CENTRES), SPREAD**2, torch.tensor(WEIGHTS))


def cells(s: ScoreFieldSettings, model: Model | None) -> Sequence[Cell]:
    moves = {"levels": s.levels, "repeats": s.repeats, "count": s.count}
    return [
        Cell("network", train_on_mixture, {"steps": s.training, "batch": s.batch, "width": s.width}),
        Cell("fields", fields, {"count": s.count}, ("network",)),
        *(Cell(dynamics, langevin, {**moves, "dynamics": dynamics}, ("network",)) for dynamics in DYNAMICS),
    ]


def train_on_mixture(tick: Tick, steps: int, batch: int, width: int) -> Result:
    """A network of the mixture's scores at all noise levels."""
    exact = mixture()
    return point_clouds.train_points(
        tick, lambda first, count: exact.draw(count, first).numpy(), SCHEDULE, steps, batch, width, 0
    )


def fields(tick: Tick, network: Result, count: int) -> Result:
    """sigma times the true and the learned score on a lattice, and how far they are apart there and on the data."""
    learned, exact = point_clouds.trained_network(network), mixture()
    coarse, fine = point_clouds.lattice(REACH, SIDE), point_clouds.lattice(REACH, 120)
    found: dict[str, list[Any]] = {"true": [], "learned": [], "density": [], "off": [], "error": []}
    for i, sigma in enumerate(SIGMAS):
        t = exact.schedule.time(sigma)
        found["true"].append(-exact(coarse, t).eps.numpy())
        found["learned"].append(-point_clouds.alone(learned, len(coarse))(coarse.float(), t).eps.numpy())
        found["density"].append(exact.log_density(fine, t).exp().reshape(120, 120).numpy())
        true = exact(fine, t).eps
        off = (point_clouds.alone(learned, len(fine))(fine.float(), t).eps - true).norm(dim=1)
        found["off"].append((off / true.norm(dim=1).clamp(min=LEAST)).reshape(120, 120).numpy())
        x = exact.draw(count, 10**6 + i) + sigma * point_clouds.CloudNoise.of(i)(torch.zeros(count, 2), "perturbed")
        eps = point_clouds.alone(learned, count)(x.float(), t).eps
        found["error"].append(point_clouds.score_error(eps, exact(x, t).eps))
        tick(i + 1, len(SIGMAS))
    return {name: np.array(value) for name, value in found.items()}


DYNAMICS = {
    "smallest noise alone": "Langevin at the smallest noise alone, true score",
    "annealed, true score": "annealed Langevin, true score",
    "annealed, learned score": "annealed Langevin, learned score",
}


def langevin(tick: Tick, network: Result, levels: int, repeats: int, count: int, dynamics: str) -> Result:
    """Points that begin all over the window, after levels x repeats moves, and the ways of a few of them.

    Alone: all moves at the smallest noise. Annealed: at each of the levels in turn (Song & Ermon 2019, algorithm 1).
    """
    exact = mixture()
    denoiser: Denoiser = point_clouds.trained_network(network) if dynamics.endswith("learned score") else exact
    sigmas = np.geomspace(SIGMAS[-1], SIGMAS[0], levels) if dynamics.startswith("annealed") else [SIGMAS[0]] * levels
    knots = [float(exact.schedule.time(sigma)) for sigma in np.repeat(sigmas, repeats)]
    noise = point_clouds.CloudNoise.of(0)
    spread = noise(torch.zeros(count, 2), "place")
    x = (torch.erf(spread / 2**0.5) * REACH).float()
    walk = [x]
    for step in trajectory(
        point_clouds.alone(denoiser, count), Langevin(1, STEP), x, torch.tensor([*knots, 0.0]), noise
    ):
        walk.append(step.x)
        tick(step.index + 1, step.total)
    cloud = walk[-1].numpy()
    return {"cloud": cloud, "walk": np.stack([x[:5].numpy() for x in walk]), "shares": shares(cloud)}


def nearest_component(x: np.ndarray) -> np.ndarray:
    """The component whose centre is nearest to each point (n, 2)."""
    return torch.cdist(torch.from_numpy(x).double(), torch.tensor(CENTRES).double()).argmin(1).numpy()


def shares(x: np.ndarray) -> np.ndarray:
    """Which part of the points lies at each component (3,)."""
    return np.bincount(nearest_component(x), minlength=len(CENTRES)) / len(x)


def draw(s: ScoreFieldSettings, results: Mapping[str, Result]) -> Report:
    seen = results["fields"]
    rows: list[dict[str, Any]] = [
        {"what": f"learned score at sigma = {sigma:g}", "squared error, relative": float(error)}
        for sigma, error in zip(SIGMAS, seen["error"], strict=True)
    ]
    rows += [{"what": name, **_parts(results[name]["shares"])} for name in DYNAMICS]
    rows += [{"what": "the mixture itself", **_parts(np.array(WEIGHTS))}]
    alone, annealed = (np.abs(results[dynamics]["shares"] - WEIGHTS).max() for dynamics in list(DYNAMICS)[:2])
    return Report(
        [
            Drawing(
                "fields",
                _fields(seen),
                "The mixture blurred by noise of size σ. Arrows: σ times the score, true and learned, over the blurred "
                "density. Bottom: how far the learned score is off, as a share of the true one; dark is 100 %.",
            ),
            Drawing(
                "langevin",
                _langevin({name: results[name] for name in DYNAMICS}),
                "The same starting points, moved by Langevin dynamics as often. A few ways are drawn; points are "
                "coloured by the component they end at, with its share (in brackets the true one).",
            ),
        ],
        rows,
        [
            f"At one small noise the shares of the three components are off by up to {alone:.0%}; annealed, by "
            f"{annealed:.0%}: {s.count} points, {s.levels * s.repeats} moves each.",
        ],
    )  # fmt: skip


def _parts(shares: np.ndarray) -> dict[str, float]:
    return {f"share of component {i + 1}": float(share) for i, share in enumerate(shares)}


def _fields(seen: Result) -> Any:
    figure, axes = panels(3, len(SIGMAS), 7.2)
    at = point_clouds.lattice(REACH, SIDE).numpy()
    window = (-REACH, REACH, -REACH, REACH)
    for j, sigma in enumerate(SIGMAS):
        for i, key in enumerate(("true", "learned")):
            panel = plane(axes[i, j], REACH)
            panel.imshow(
                seen["density"][j] ** 0.6, extent=window, origin="lower", cmap=SMOKE, alpha=0.6, interpolation="bicubic"
            )
            arrows(panel, at, seen[key][j], 2 * REACH / (SIDE - 1), 0.9)
        axes[2, j].imshow(seen["off"][j], extent=window, origin="lower", cmap=EMBER, vmin=0, vmax=1)
        plane(axes[2, j], REACH)
        axes[2, j].contour(seen["density"][j] ** 0.6, extent=window, levels=4, colors=INK, linewidths=0.4, alpha=0.5)
        axes[0, j].set_title(f"σ = {sigma:g}", loc="center", color=SOFT)
        axes[2, j].set_xlabel(f"{seen['error'][j]:.1%} on the data", color=SOFT, fontsize=8.5)
    for i, words in enumerate(("true", "learned", "error")):
        axes[i, 0].set_ylabel(words, rotation=0, ha="right", va="center", labelpad=10)
    return figure


def _langevin(found: Mapping[str, Result]) -> Any:
    figure, axes = panels(1, len(found), 3.7)
    for panel, (name, result) in zip(axes[0], found.items(), strict=True):
        plane(panel, REACH).set_title(DYNAMICS[name], loc="center", fontsize=9)
        ends = nearest_component(result["cloud"])
        panel.scatter(*result["cloud"].T, s=1.4, lw=0, c=np.array(COLOURS)[ends], alpha=0.6, rasterized=True)
        for n in range(result["walk"].shape[1]):
            panel.plot(*result["walk"][:, n].T, color=COLOURS[ends[n]], lw=0.4, alpha=0.45)
        panel.scatter(*result["walk"][0].T, s=13, facecolor="white", edgecolor=INK, lw=0.6, zorder=3)
        for i, (x, y) in enumerate(CENTRES):
            words, below = f"{result['shares'][i]:.0%} ({WEIGHTS[i]:.0%})", -1.1 if y < 0 else 1.0
            panel.text(x, y + below, words, color=COLOURS[i], ha="center", va="center", weight="bold", zorder=5,
                       bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5})  # fmt: skip
    return figure


STUDY = Study(
    title="Perturbed scores",
    summary="perturbed scores of a mixture, true and learned, and what Langevin dynamics makes of them",
    source="Song & Ermon 2019, figures 2 and 3 and algorithm 1",
    about="A score points uphill in log density. Where there are no data it cannot be learned, and Langevin dynamics "
    "that follow it forget how much weight each hill has. Noise cures both: blurred by enough of it, the data fill the "
    "plane and the hills become one. Here the mixture's true scores at every noise level are known in closed form.",
    see=(
        "With little noise the score is large and the network is wrong in the empty regions (dark); with more noise it "
        "is right everywhere.",
        "Langevin dynamics at little noise ends at whichever component it began near: the shares are wrong. Annealed "
        "from much noise to little, it finds the right shares, with the learned score too.",
    ),
    full=ScoreFieldSettings(),
    quick=ScoreFieldSettings(training=2500, batch=512, width=96, repeats=20, count=2000),
    cells=cells,
    draw=draw,
)
STUDIES.add("score-field", STUDY)
