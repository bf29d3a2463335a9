"""From one picture to another through the noise of a chosen time (Ho et al. 2020, section 4.4, figures 8 and 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from sfumato.condition import Condition, Text
from sfumato.data import vignettes
from sfumato.denoise import Bound, bind
from sfumato.edit import Inversion, lerp, slerp
from sfumato.element import Listed, Real, Whole, element
from sfumato.model.pipe import Pipe
from sfumato.noise import KeyedNoise
from sfumato.recipe import Recipe
from sfumato.sample import DDIM, Denoise, trajectory
from sfumato.schedule import noised
from sfumato.study.pictures import WORLD, decoded, guided, recipe_for, subject, words_of
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study, Tick
from sfumato.study.style import BLUE, GREEN, OCHRE, RED, panels, strips
from sfumato.times import grid


@element
class InterpolateSettings:
    """first, second: the numbers of two scenes (or classes) between which is walked, at each of `times`, in `places`
    pictures; mixings are compared at time `deep`; steps of each walk; guidance: scale of classifier-free guidance."""

    first: Whole = Field(default=14, ge=0, le=2**31, description="a whole number")
    second: Whole = Field(default=3, ge=0, le=2**31, description="a whole number")
    times: Listed[Real] = Field(default=(0.1, 0.3, 0.5, 0.7, 0.9, 1.0), min_length=1, description="a list of times")
    places: Whole = Field(default=7, ge=3, le=33, description="a whole number from 3 to 33")
    deep: Real = Field(default=0.9, gt=0, le=1, description="a time above 0 and up to 1")
    steps: Whole = Field(default=40, ge=1, le=1000, description="a whole number from 1 to 1000")
    guidance: Real = Field(default=1.5, ge=0, le=1000, description="a number from 0, where 1 is off")


MIXES: dict[str, tuple[str, Callable[..., Tensor]]] = {
    "one noise, straight": ("shared", lerp),
    "own noises, straight": ("own", lerp),
    "own noises, on the sphere": ("own", slerp),
    "inverted, on the sphere": ("inverted", slerp),
}
FIRST = next(iter(MIXES))
COLOUR = dict(zip(MIXES, (BLUE, RED, OCHRE, GREEN), strict=True))


def cells(s: InterpolateSettings, model: Model | None) -> Sequence[Cell]:
    arguments = {
        "model": model, "first": s.first, "second": s.second, "places": s.places, "steps": s.steps,
        "guidance": s.guidance,
    }  # fmt: skip
    wanted = {(FIRST, t): None for t in s.times} | {(mixing, s.deep): None for mixing in MIXES}
    return [Cell(_name(mixing, t), between, {**arguments, "t": t, "mixing": mixing}) for mixing, t in wanted]


def _name(mixing: str, t: float) -> str:
    return f"{mixing}, t = {t:g}"


def between(
    tick: Tick, model: Model, first: int, second: int, places: int, steps: int, guidance: float, t: float, mixing: str
) -> Result:
    """Both pictures brought to time t, mixed there at `places` places, and walked back by DDIM, each place by itself.

    The condition is mixed too: the words' embeddings go straight from the first picture's to the second's.
    """
    pipe = model.load()
    plain = recipe_for(pipe, guidance)
    recipes = [subject(pipe, plain, number) for number in (first, second)]
    condition = pipe.stage.encode(recipes)
    guide = guided(pipe, recipes)
    space, schedule = pipe.stage.space, pipe.stage.denoiser.schedule
    sources = _sources(pipe, recipes, (first, second))
    x0 = space.encode(torch.from_numpy(sources).permute(0, 3, 1, 2).float() / 127.5 - 1)

    kind, mix = MIXES[mixing]
    times = grid("uniform", steps, schedule, t)
    ends = _at(kind, x0, times, Bound(pipe.stage.denoiser, condition))
    shown, sizes = [], []
    for i, place in enumerate(np.linspace(0, 1, places)):
        x = mix(ends[:1], ends[1:], float(place))
        sizes.append(float(x.std()))
        last = x
        for step in trajectory(bind(guide, mixed(condition, float(place))), DDIM(), x, times, KeyedNoise([0])):
            last = step.x
            tick(i * steps + step.index + 1, places * steps)
        shown.append(decoded(pipe, last)[0])
    return {
        "strip": np.stack([sources[0], *shown, sources[1]]),
        "named": np.array([words_of(recipe) for recipe in recipes]),
        "size": np.array(sizes),
        "edges": np.array([edge_strength(picture) for picture in shown]),
        "steps": np.array([np.sqrt(((a.astype(float) - b) ** 2).mean()) for a, b in pairwise(shown)]),
    }  # fmt: skip


def _sources(pipe: Pipe, recipes: Sequence[Recipe], numbers: Sequence[int]) -> np.ndarray:
    """Scenes of the built-in world at the size that the model paints; for a model of classes, pictures of its own."""
    if not pipe.capabilities.text:
        own = [replace(recipe, seed=number) for recipe, number in zip(recipes, numbers, strict=True)]
        return np.stack([np.asarray(image) for image in pipe.run(own).images])
    drawn = (vignettes.draw(vignettes.scene(WORLD, number), max(pipe.size), truth=False).image for number in numbers)
    return np.stack([np.asarray(Image.fromarray(picture).resize(pipe.size)) for picture in drawn])


def _at(kind: str, x0: Tensor, times: Tensor, denoise: Denoise) -> Tensor:
    """Both pictures at times[0]: noised with one noise, each with its own, or inverted."""
    if kind == "inverted":
        return Inversion(denoise, x0, times, float(times[0])).at(times[0])
    noise = KeyedNoise([0, 0] if kind == "shared" else [0, 1])
    return noised(denoise.schedule, x0, times[0], noise(x0, "between"))


def mixed(condition: Condition, place: float) -> Condition:
    """One row from a condition's two: texts straight between, anything else from the nearer."""
    near = condition.select([0 if place < 0.5 else 1])
    text = condition.get(Text)
    if text is None:
        return near
    blended = replace(text.select(torch.tensor([0])), embeds=lerp(text.embeds[:1], text.embeds[1:], place))
    return replace(near, parts=tuple(blended if isinstance(part, Text) else part for part in near.parts))


def edge_strength(picture: np.ndarray) -> float:
    """How much contrast there is from pixel to pixel: the mean length of the gradient, in levels of 255."""
    values = picture.astype(np.float64)
    down, right = np.diff(values, axis=0)[:, :-1], np.diff(values, axis=1)[:-1]
    return float(np.sqrt(down**2 + right**2).mean())


def draw(s: InterpolateSettings, results: Mapping[str, Result]) -> Report:
    by_time = [results[_name(FIRST, t)] for t in s.times]
    by_mixing = {mixing: results[_name(mixing, s.deep)] for mixing in MIXES}
    places = np.linspace(0, 1, s.places)
    columns = ["source", *(f"{place:.2g}" for place in places), "source"]
    rows = [_row(t, FIRST, found) for t, found in zip(s.times, by_time, strict=True)]
    rows += [_row(s.deep, mixing, found) for mixing, found in by_mixing.items()]
    first, second = by_time[0]["named"]
    straight, sphere = rows[-3], rows[-2]
    return Report(
        [
            Drawing(
                "times",
                strips(
                    np.stack([found["strip"] for found in by_time]),
                    [f"t = {t:g}" for t in s.times],
                    columns,
                    left=0.8,
                    smooth=True,
                ),
                f"From “{first}” to “{second}”: both noised to t with the same noise, mixed there, and denoised.",
            ),
            Drawing(
                "ways",
                strips(
                    np.stack([found["strip"] for found in by_mixing.values()]),
                    [mixing.replace(", ", ",\n") for mixing in MIXES],
                    columns,
                    left=1.5,
                    smooth=True,
                ),
                f"Four ways to mix at t = {s.deep:g}. A straight line between two noises leaves the sphere on which "
                "noise lives, and the middle comes out flat; on the sphere it does not.",
            ),
            Drawing(
                "lengths", _curves(places, by_mixing), "What a mix keeps: the size of the noise, and the contrast."
            ),
        ],
        rows,
        [
            f"Midway between two noises at t = {s.deep:g} a straight line keeps {straight['size midway']:.2f} of the "
            f"ends' deviation and {straight['edges midway']:.2f} of their contrast from pixel to pixel; the sphere "
            f"keeps {sphere['size midway']:.2f} and {sphere['edges midway']:.2f}.",
        ],
    )


def _row(t: float, mixing: str, found: Result) -> dict[str, Any]:
    middle = len(found["size"]) // 2
    return {
        "t": float(t),
        "mixing": mixing,
        "size midway": float(found["size"][middle] / found["size"][[0, -1]].mean()),
        "edges midway": float(found["edges"][middle] / found["edges"][[0, -1]].mean()),
        "largest step": float(found["steps"].max()),
        "mean step": float(found["steps"].mean()),
    }


def _curves(places: np.ndarray, by_mixing: Mapping[str, Result]) -> Any:
    figure, axes = panels(1, 2, 3.0)
    readings = (("size", "standard deviation of what is denoised"), ("edges", "contrast from pixel to pixel"))
    for panel, (key, title) in zip(axes[0], readings, strict=True):
        for mixing, found in by_mixing.items():
            panel.plot(places, found[key], color=COLOUR[mixing], label=mixing)
        panel.set(title=title, xlabel="place between the two", xlim=(0, 1))
        panel.set_ylim(bottom=0)
    axes[0, 0].legend(loc="lower left", fontsize=8.5)
    return figure


STUDY = Study(
    title="Interpolation through noise",
    summary="from one picture to another through the noise of a chosen time",
    source="Ho et al. 2020, figures 8 and 9; Song, Meng & Ermon 2021, section 5.3",
    about="Two pictures are brought to the noise of time t, mixed there, and denoised. At small t the mix is a double "
    "exposure; at large t the model is free to paint a third picture that has something of both.",
    see=(
        "In the first figure: the rows go from a cross-fade (top) to a change of one thing into another (bottom); the "
        "price is that the ends are less and less like the sources.",
        "In the second: two noises must be mixed on the sphere. Inverted pictures (DDIM walked upwards) keep their "
        "ends, because nothing random was added.",
    ),
    full=InterpolateSettings(),
    quick=InterpolateSettings(times=(0.2, 0.5, 0.8, 1.0), steps=15, places=5),
    cells=cells,
    draw=draw,
    takes=Model.named,
    model="mini",
)
STUDIES.add("interpolate", STUDY)
