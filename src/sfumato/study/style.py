"""The studies' look: one page width, one ink, few colours, nothing that carries no information."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

WIDTH = 10.0  # inches
INK, SOFT, RULE, PAPER = "#23272e", "#717883", "#e4e5e8", "#ffffff"
BLUE, RED, OCHRE, GREEN, PLUM, SKY, BROWN = (
    "#2b5c8a", "#c4513b", "#d99b2b", "#4f8a6b", "#7d5088", "#7fb2d6", "#8a6a4f",
)  # fmt: skip
COLOURS = (BLUE, RED, OCHRE, GREEN, PLUM, SKY, BROWN)

SMOKE = LinearSegmentedColormap.from_list("smoke", ["#ffffff", "#dfe5ea", "#a9b9c7", "#62809b", "#2b4a68", "#142637"])
EMBER = LinearSegmentedColormap.from_list("ember", ["#f4f1ec", "#f0c98b", "#d9773f", "#a23a36", "#4a1c33"])
ROLL = LinearSegmentedColormap.from_list("roll", ["#27466b", "#3f7f93", "#7fae7a", "#d9b044", "#cf6a3c", "#8e2f45"])

HOUSE: dict[Any, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "image.interpolation": "nearest",
}


@contextmanager
def house_style() -> Iterator[None]:
    """The style, for figures made and saved inside."""
    with mpl.rc_context(HOUSE):
        yield


def panels(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure of the page's width and `height` inches, and its (rows, columns) axes."""
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def bare(axes: Axes) -> Axes:
    """Without ticks, grid and frame: for pictures."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def plane(axes: Axes, reach: float) -> Axes:
    """A square window on the plane, from -reach to reach, without ticks."""
    bare(axes).set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    return axes


def arrows(axes: Axes, at: np.ndarray, vectors: np.ndarray, longest: float, quantile: float, cmap: Any = None) -> None:
    """An arrow for each of `vectors` (n, 2) at the places `at` (n, 2), so that all of them can be seen.

    Its length grows with the root of the vector's and is `longest` at that quantile of them and above; `cmap` gives it
    the colour of the vector's length.
    """
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    share = np.minimum(length / np.quantile(length, quantile), 1)
    shown = vectors / length * np.sqrt(share) * longest
    colour: dict[str, Any] = {"color": INK} if cmap is None else {"cmap": cmap, "clim": (-0.5, 1)}
    values = [] if cmap is None else [share[:, 0]]
    axes.quiver(*at.T, *shown.T, *values, angles="xy", scale_units="xy", scale=1, width=0.006, headwidth=3.6,
                headlength=4, pivot="mid", **colour)  # fmt: skip


def strips(
    pictures: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, left: float = 1.15, smooth: bool = False
) -> Figure:
    """Rows of pictures (R, C, H, W, 3) uint8 edge to edge, with a word before each row and over each column.

    left: inches for the words before the rows. smooth: enlarge by a bicubic filter rather than by whole pixels.
    """
    count, across, high, wide = pictures.shape[:4]
    side = (WIDTH - left) / across
    tall, top = side * high / wide, 0.3 if any(columns) else 0.04
    height = top + count * tall
    figure = Figure(figsize=(WIDTH, height))
    figure.set_layout_engine("none")
    gap = 0.02
    for i in range(count):
        y = height - top - (i + 1) * tall
        for j in range(across):
            axes = bare(figure.add_axes((
                (left + j * side + gap) / WIDTH, (y + gap) / height, (side - 2 * gap) / WIDTH, (tall - 2 * gap) / height
            )))  # fmt: skip
            axes.imshow(pictures[i, j], interpolation="bicubic" if smooth else "nearest", aspect="auto")
        figure.text((left - 0.12) / WIDTH, (y + tall / 2) / height, rows[i], ha="right", va="center")
    for j, words in enumerate(columns):
        x = (left + (j + 0.5) * side) / WIDTH
        figure.text(x, (height - top + 0.09) / height, words, ha="center", va="bottom", color=SOFT)
    return figure


def plain_axis(axis: Axis) -> None:
    """Numbers as 0.5, 1, 20 on a logarithmic axis, few of them."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def label_lines(axes: Axes, labels: Sequence[tuple[float, str, str]], least: float = 0.055) -> None:
    """Words at the right end of lines instead of a legend: (y at the end, words, colour), kept from overlapping.

    least: the least distance of two labels as a fraction of the axes' height.
    """
    low, high = axes.get_ylim()
    place = axes.transData.transform
    inverse = axes.transAxes.inverted().transform
    heights = [float(inverse(place((axes.get_xlim()[1], min(max(y, low), high))))[1]) for y, _, _ in labels]
    order = np.argsort(heights)
    spread: list[float] = []
    for n in order:
        spread.append(max(heights[n], spread[-1] + least) if spread else heights[n])
    shift = max(0.0, (spread[-1] if spread else 0) - 1.0)
    for n, y in zip(order, spread, strict=True):
        _, words, colour = labels[n]
        axes.text(1.015, y - shift, words, color=colour, va="center", transform=axes.transAxes)
