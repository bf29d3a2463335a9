"""Holes filled and measured: what the cells of the study of inpainting do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from PIL import Image

from sfumato.data import vignettes
from sfumato.edit import Outside, Source, Uncomposited
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.metrics import difference, seam
from sfumato.evaluate.pairs import Pair, pair
from sfumato.guide import ClassifierFree
from sfumato.picture import BadInput, open_mask, open_picture
from sfumato.recipe import Recipe
from sfumato.space.pixels import mask_to_tensor, to_images, to_tensor
from sfumato.study import openai_images
from sfumato.study.measured_samples import StampedName, extractor
from sfumato.study.pictures import WORLD
from sfumato.study.study import Model, Result, Tick

SIDE = 64


@dataclass(frozen=True)
class KnownEdit:
    """One of the document's three: whose picture it is, what changes and into what."""

    name: str
    attribute: str
    wears: bool
    value: str


TASKS = (
    KnownEdit("remove the mask", "mask", True, "none"),
    KnownEdit("remove the headset", "headset", True, "none"),
    KnownEdit("add a scarf", "scarf", False, "red"),
)


def known_pair(task: KnownEdit, number: int, side: int = SIDE) -> Pair:
    """Picture `number` of a task, drawn at `side`: of the scenes that wear the thing or, to add it, do not."""
    found = -1
    for index in range(100_000):
        before = vignettes.scene(WORLD, index, "any")
        if before["subject"] not in ("woman", "man") or (before[task.attribute] != "none") != task.wears:
            continue
        edit = pair(before, task.attribute, task.value, side)
        found += edit is not None
        if edit is not None and found == number:
            return edit
    raise BadInput(f"The built-in world has no {number + 1} pictures to {task.name}: ask for fewer.")


def open_case(case: Mapping[str, Any], size: tuple[int, int]) -> tuple[Image.Image, Image.Image, str, Pair | None]:
    """The picture, the hole and the words of a case, and the pair where the result is known."""
    if "task" in case:
        task = next(task for task in TASKS if task.name == case["task"])
        drawn = known_pair(task, case["number"], max(size))
        return drawn.before, drawn.hole, drawn.prompt, drawn
    picture = open_picture(case["picture"]["name"])
    return picture.resize(size), open_mask(case["mask"]["name"], picture.size).resize(size), case["prompt"], None


def recipe(pipe: Any, picture: Image.Image, hole: Image.Image, words: str, steps: int, guidance: float) -> Recipe:
    """How an architecture is asked to fill a hole, before anything is pasted."""
    fill = Recipe(model=pipe.name, hold=Outside(hole, picture), composite=Uncomposited(), steps=steps, guidance=())
    vocabulary = pipe.capabilities
    if vocabulary.text:
        fill = replace(fill, prompt=words, guidance=(ClassifierFree(guidance),))
    return replace(fill, source=Source(picture, "inpaint")) if "inpaint" in vocabulary.tasks else fill


def fill_and_measure(
    tick: Tick, architecture: str, model: Any, steps: int, guidance: float, case: Mapping[str, Any]
) -> Result:
    """One hole filled by one architecture, and measured."""
    pipe = None if architecture == "hosted" else model.load()
    picture, hole, words, truth = open_case(case, (SIDE, SIDE) if pipe is None else pipe.size)
    if pipe is None:
        result = openai_images.fill_hole(picture, hole, words, model)
    else:
        result = pipe.run(recipe(pipe, picture, hole, words, steps, guidance)).images[0]
    tick(1, 1)
    pasted = Image.composite(result, picture, hole)
    kept = {"before": picture, "hole": hole, "raw": result, "pasted": pasted}
    if pipe is not None and pipe.stage.space.factor > 1:
        kept["coded"] = coded(pipe, picture)
    if truth is not None:
        kept["after"] = truth.after
    measured = outside_and_seam(picture, hole, result, pasted) | ({} if truth is None else read_by_judge(truth, pasted))
    return {name: np.asarray(image) for name, image in kept.items()} | measured


def outside_and_seam(
    picture: Image.Image, hole: Image.Image, result: Image.Image, pasted: Image.Image
) -> dict[str, float]:
    """What happened outside the hole, in 255ths, and how its edge shows."""
    outside = 1 - mask_to_tensor(hole)
    before, raw, saved = (to_tensor([image]) for image in (picture, result, pasted))
    as_it_comes, mask = difference(raw, before, outside), mask_to_tensor(hole)
    return {
        "background error": float(as_it_comes.mean),
        "background PSNR": float(as_it_comes.psnr),
        "background error, pasted": float(difference(saved, before, outside).max),
        "seam": float(seam(saved, mask)),
        "seam, before": float(seam(before, mask)),
    }


def read_by_judge(truth: Pair, pasted: Image.Image) -> dict[str, float]:
    """Whether the judge reads what was asked, and all else as it was; how far the features are from the true ones."""
    verdict = Judge.load().predict(to_tensor([pasted]))[0]
    wanted = truth.scene.attributes
    rows = extractor(StampedName.named("vignettes-features"))(to_tensor([pasted, truth.after, truth.before]))["pool"]
    far = (rows[0] - rows[1]).norm() / (rows[2] - rows[1]).norm().clamp(min=1e-9)
    return {
        "asked": float(verdict[truth.attribute] == wanted[truth.attribute]),
        "all else": float(all(verdict[name] == value for name, value in wanted.items() if name != truth.attribute)),
        "distance": float(far),
    }


@torch.no_grad()
def coded(pipe: Any, picture: Image.Image) -> Image.Image:
    """The picture through the autoencoder and back: what it loses though nobody painted (figure 4.15)."""
    space = pipe.stage.space
    return to_images(space.decode(space.encode(to_tensor([picture]))))[0]


def cost(tick: Tick, model: Model, steps: int, guidance: float) -> Result:
    """Seconds of one fill on one thread, the better of two, and the peak memory of a process that does nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        seconds, peak = alone.submit(spent, model.name, steps, guidance).result()
    tick(1, 1)
    return {"seconds": seconds, "MiB": peak}


def spent(name: str, steps: int, guidance: float) -> tuple[float, float]:
    """Runs in a process of its own, on one thread: two that wait for one another measure their neighbours."""
    import resource

    from sfumato.model import load

    torch.set_num_threads(1)
    pipe: Any = load(name)
    picture = Image.new("RGB", pipe.size, "grey")
    hole = Image.new("L", pipe.size, 255)
    asked = recipe(pipe, picture, hole, "a woman", steps, guidance)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        pipe.run(asked)
        seconds.append(time.perf_counter() - began)
    return min(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
