"""The forward and the reverse trajectory of a swiss roll: Sohl-Dickstein et al. 2015, figure 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import Field
from scipy.special import ndtr

from sfumato.data.toy_points import KINDS
from sfumato.data.toy_points import draw as draw_points
from sfumato.denoise import GaussianMixture
from sfumato.element import Whole, element
from sfumato.sample import DDIM, DDPM, trajectory
from sfumato.schedule import Cosine, Schedule, noised
from sfumato.study import point_clouds
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study, Tick
from sfumato.study.style import BLUE, EMBER, INK, RED, ROLL, RULE, SMOKE, SOFT, arrows, panels, plane
from sfumato.times import grid

KIND, SEED = "swiss-roll", 0
SHOWN = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
REACH = 2.9
SIDE = 21
PROCESSES = {"flow": ("probability flow (deterministic)", 1000), "diffusion": ("reverse diffusion (stochastic)", 9)}


@element
class SwissRollSettings:
    """training: steps of training; batch and width of the network; steps of sampling; count: points in a cloud;
    paths: how many of them are followed."""

    training: Whole = Field(default=6000, ge=1, le=10**7, description="a whole number of at least 1")
    batch: Whole = Field(default=1024, ge=1, le=10**6, description="a whole number of at least 1")
    width: Whole = Field(default=128, ge=4, le=4096, description="a whole number from 4 to 4096")
    steps: Whole = Field(default=200, ge=5, le=10_000, description="a whole number from 5 to 10,000")
    count: Whole = Field(default=4000, ge=10, le=100_000, description="a whole number from 10 to 100,000")
    paths: Whole = Field(default=80, ge=1, le=1000, description="a whole number from 1 to 1000")


def cells(s: SwissRollSettings, model: Model | None) -> Sequence[Cell]:
    if model is None:
        network = Cell("network", train_on_roll, {"steps": s.training, "batch": s.batch, "width": s.width})
    else:
        network = Cell("network", point_clouds.trained_before, {"model": model})
    walk = {"steps": s.steps, "count": s.count}
    return [
        network,
        Cell("reverse", reverse, walk, ("network",)),
        Cell("field", field, {"count": s.count}, ("network",)),
        Cell("paths", paths, {"steps": s.steps, "count": s.paths}, ("network",)),
    ]


def roll(schedule: Schedule, parts: int = 400) -> GaussianMixture:
    """The swiss roll as a mixture of `parts` Gaussians along its spiral, so close that they are the roll."""
    kind = KINDS[KIND]
    u = np.full((parts, 4), 0.5)
    u[:, 0] = (np.arange(parts) + 0.5) / parts
    thick = np.array([[0.5, ndtr(1.0), 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]])
    spread = np.ptp(kind.place(thick)[0][:, 0]) / kind.scale
    return GaussianMixture(schedule, torch.from_numpy(kind.place(u)[0] / kind.scale), spread**2)


def place_along(x: np.ndarray) -> np.ndarray:
    """Where along the roll each point (n, 2) lies, from 0 inside to 1 outside."""
    means = roll(Cosine()).means
    return torch.cdist(torch.from_numpy(x).double(), means).argmin(1).numpy() / (len(means) - 1)


def train_on_roll(tick: Tick, steps: int, batch: int, width: int) -> Result:
    """A network of the roll on the cosine schedule, along which the roll dissolves evenly."""
    return point_clouds.train_points(tick, partial(_cloud, SEED), {"kind": "cosine"}, steps, batch, width, seed=0)


def _cloud(seed: int, first: int, count: int) -> np.ndarray:
    return draw_points(KIND, seed, count, first)[0]


def reverse(tick: Tick, network: Result, steps: int, count: int) -> Result:
    """Ancestral samples on their way, (times, count, 2), with the true marginals and how far they are apart."""
    denoise = point_clouds.alone(point_clouds.trained_network(network), count)
    times = grid("uniform", steps, denoise.schedule)
    noise = point_clouds.CloudNoise.of(0)
    x = noise(torch.zeros(count, 2), "start") * float(torch.hypot(*denoise.schedule(1.0)))
    walk = [x]
    for step in trajectory(denoise, DDPM(), x, times, noise):
        walk.append(step.x)
        tick(step.index + 1, step.total)
    at = [round((1 - t) * steps) for t in SHOWN]
    true = [_marginal(denoise.schedule, t, SEED + 1, count) for t in SHOWN]
    other = [_marginal(denoise.schedule, t, SEED + 2, count) for t in SHOWN]
    clouds = [walk[i].numpy() for i in at]
    return {
        "forward": np.stack(true),
        "clouds": np.stack(clouds),
        "size": np.array([float(torch.hypot(*denoise.schedule(t))) for t in SHOWN]),
        "apart": np.array([point_clouds.sliced_wasserstein(a, b) for a, b in zip(clouds, true, strict=True)]),
        "chance": np.array([point_clouds.sliced_wasserstein(a, b) for a, b in zip(other, true, strict=True)]),
    }


def _marginal(schedule: Schedule, t: float, seed: int, count: int) -> np.ndarray:
    """Points of q(x_t): data noised in one go, each with its own noise, the same at every t."""
    x0 = torch.from_numpy(_cloud(seed, 0, count))
    return noised(schedule, x0, t, point_clouds.CloudNoise.of(seed)(x0, "forward")).numpy()


def field(tick: Tick, network: Result, count: int) -> Result:
    """Where the network and the exact denoiser send each point of a lattice, alpha x0 - x = -sigma eps, and errors."""
    learned = point_clouds.trained_network(network)
    exact = roll(learned.schedule)
    found: dict[str, list[Any]] = {"drift": [], "density": [], "error": [], "t": []}
    for t in SHOWN:
        shown = torch.tensor(max(t, 0.05), dtype=torch.float64)
        size = float(torch.hypot(*learned.schedule(shown)))
        x = point_clouds.lattice(REACH * size, SIDE)
        p = point_clouds.alone(learned, len(x))(x.float(), shown)
        found["drift"].append((-p.eps * float(p.sigma)).numpy())
        fine = point_clouds.lattice(REACH * size, 90)
        found["density"].append(exact.log_density(fine, shown).exp().reshape(90, 90).numpy())
    for t in np.linspace(0.02, 0.98, 49):
        x = torch.from_numpy(_marginal(learned.schedule, float(t), SEED + 1, count))
        now = torch.tensor(float(t), dtype=torch.float64)
        found["error"].append(
            point_clouds.score_error(point_clouds.alone(learned, len(x))(x, now).eps, exact(x, now).eps)
        )
        found["t"].append(float(t))
        tick(len(found["t"]), 49)
    return {name: np.array(value) for name, value in found.items()}


def paths(tick: Tick, network: Result, steps: int, count: int) -> Result:
    """Whole ways (steps + 1, count, 2) of the same noise: by the probability flow, and by the reverse diffusion."""
    denoise = point_clouds.alone(point_clouds.trained_network(network), count)
    times = grid("uniform", steps, denoise.schedule)
    sizes = torch.hypot(*denoise.schedule(times)).float()
    noise = point_clouds.CloudNoise.of(0)
    found = {}
    for i, (name, sampler) in enumerate((("flow", DDIM()), ("diffusion", DDPM()))):
        x = noise(torch.zeros(count, 2), "start") * sizes[0]
        walk = [x]
        for step in trajectory(denoise, sampler, x, times, noise):
            walk.append(step.x)
            tick(i * steps + step.index + 1, 2 * steps)
        found[name] = np.stack([(x / size).numpy() for x, size in zip(walk, sizes, strict=True)])
    return found


def draw(s: SwissRollSettings, results: Mapping[str, Result]) -> Report:
    walked, seen = results["reverse"], results["field"]
    rows = [
        {
            "t": t,
            "distance of the samples": float(walked["apart"][i]),
            "distance of two true clouds": float(walked["chance"][i]),
            "score error": float(np.interp(t, seen["t"], seen["error"])),
        }
        for i, t in enumerate(SHOWN)
    ]
    return Report(
        [
            Drawing(
                "trajectories",
                _trajectories(walked, seen),
                "Top: the data dissolve into noise. Middle: noise is led back by the network, from right to left. "
                "Colours say where on the roll a point comes from (top) or ends (middle). Bottom: where the network "
                "sends a point (at left at t = 0.05), over the true density.",
            ),
            Drawing(
                "paths",
                _paths(results["paths"], walked["forward"][0]),
                "The ways of points from noise (open circles) to the roll: smooth along the probability flow, rough "
                "along the reverse diffusion, of which a few are shown. Coloured by where they end.",
            ),
            Drawing("errors", _errors(walked, seen), "How well the network knows the score, and what comes of it."),
        ],
        rows,
        [
            f"The samples are {rows[0]['distance of the samples']:.3f} from the data (sliced Wasserstein distance); "
            f"two clouds of {s.count} true points are {rows[0]['distance of two true clouds']:.3f} apart by chance.",
            f"From t = 0.1 to 0.9 the squared error of the score is {_mean_error(seen):.2%} of its square.",
        ],
    )


def _mean_error(seen: Result) -> float:
    inside = (seen["t"] >= 0.1) & (seen["t"] <= 0.9)
    return float(seen["error"][inside].mean())


def _trajectories(walked: Result, seen: Result) -> Any:
    figure, axes = panels(3, len(SHOWN), 5.2)
    begin, end = place_along(walked["forward"][0]), place_along(walked["clouds"][0])
    for j, t in enumerate(SHOWN):
        reach = REACH * float(walked["size"][j])
        for i, (cloud, colour) in enumerate(((walked["forward"][j], begin), (walked["clouds"][j], end))):
            plane(axes[i, j], reach).scatter(*cloud.T, c=colour, cmap=ROLL, s=1.6, lw=0, alpha=0.75, rasterized=True)
        below = plane(axes[2, j], reach)
        window = (-reach, reach, -reach, reach)
        below.imshow(seen["density"][j] ** 0.5, extent=window, origin="lower", cmap=SMOKE, alpha=0.55)
        at = point_clouds.lattice(reach, SIDE).numpy()
        arrows(below, at, seen["drift"][j], 2 * reach / (SIDE - 1), 0.95, EMBER)
        axes[0, j].set_title(f"t = {t:g}", loc="center", color=SOFT, fontsize=9.5)
    for i, words in enumerate(("forward\nq(x$_t$)", "reverse\np(x$_t$)", "drift\nα x̂$_0$ − x")):
        axes[i, 0].set_ylabel(words, rotation=0, ha="right", va="center", labelpad=10)
    return figure


def _paths(found: Result, cloud: np.ndarray) -> Any:
    figure, axes = panels(1, 2, 5.0)
    for panel, (name, (title, most)) in zip(axes[0], PROCESSES.items(), strict=True):
        walk = found[name][:, :most]
        colours = ROLL(place_along(walk[-1]))
        panel.scatter(*cloud.T, s=3, c=RULE, lw=0, zorder=0)
        for n in range(walk.shape[1]):
            panel.plot(*walk[:, n].T, color=colours[n], lw=0.8, alpha=0.8)
        panel.scatter(*walk[0].T, s=11, facecolor="white", edgecolor=INK, lw=0.6, zorder=3)
        panel.scatter(*walk[-1].T, s=15, c=colours, edgecolor="white", lw=0.4, zorder=4)
        plane(panel, REACH).set_title(title, loc="center")
    return figure


def _errors(walked: Result, seen: Result) -> Any:
    figure, axes = panels(1, 2, 2.9)
    left, right = axes[0]
    left.semilogy(seen["t"], seen["error"], color=BLUE)
    left.set(title="squared error of the score, over its square", xlabel="t", xlim=(0, 1))
    right.plot(SHOWN, walked["apart"], "o-", color=RED, ms=4, label="samples and data")
    right.plot(SHOWN, walked["chance"], "o-", color=SOFT, ms=4, lw=1.2, label="two clouds of data (chance)")
    right.set(title="sliced Wasserstein distance", xlabel="t", xlim=(0, 1))
    right.set_ylim(bottom=0)
    right.legend(loc="upper right")
    return figure


STUDY = Study(
    title="The swiss roll, there and back",
    summary="a plane curve dissolves into noise, and a small network rolls it up again",
    source="Sohl-Dickstein et al. 2015, figure 1",
    about="A cloud of points on a rolled-up line is the smallest world on which a diffusion model can be seen whole. "
    "Noise is added until nothing is left of the roll; a network of a few thousand numbers, trained for seconds to say "
    "which noise was added, leads fresh noise back.",
    see=(
        "The two rows of clouds agree column by column: the reverse process has the marginals of the forward one.",
        "The drift points towards the mean of the data far from it, and towards the nearest turn of the roll close by.",
        "Two ways back with the same marginals: the probability flow maps each noise to one point without crossing "
        "itself; the reverse diffusion wanders and ends elsewhere.",
    ),
    full=SwissRollSettings(),
    quick=SwissRollSettings(training=3000, batch=512, width=96, steps=100, count=2000),
    cells=cells,
    draw=draw,
    takes=point_clouds.PointModel.named,
)
STUDIES.add("swiss-roll", STUDY)
