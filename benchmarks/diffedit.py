"""DiffEdit and inversion on pictures of which everything is known.

Masks: a garment or a thing of a vignette is to have another colour, the two captions differ in that word alone, and
the mask that they infer is compared with the thing's own, by intersection over union; in cells of the latents (a cell
belongs to the thing if half of its pixels do) and in pixels.
Round trips: DDIM inversion to all noise and back, then decoded: PSNR against the picture, beside the autoencoder's own,
and against what the autoencoder makes of the picture. Guided ones: the same with guidance on the way down.
Edits: the colour is changed by both together, from several strengths; the judge reads what comes of it.

Run: python benchmarks/diffedit.py [--count 24] [--model mini] [--steps 20 50 100] [--only masks|trips|guided|edits]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

import sfumato
import sfumato as spec
from sfumato.data import vignettes
from sfumato.data.vignettes.vocabulary import COLOURS, GARMENTS, HELD_OUT_COLOURS, NONE, SEMANTIC
from sfumato.denoise import Bound, bind
from sfumato.edit import Inferred, Inversion, binarized, disagreement
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.statistics import share
from sfumato.model.pipe import Pipe
from sfumato.noise import KeyedNoise
from sfumato.recipe import Recipe
from sfumato.sample import DDIM, trajectory
from sfumato.space.pixels import to_tensor
from sfumato.times import grid

WORLD, ROWS, LEAST = 900_002, 8, 0.015  # level and threshold were chosen on world 900_001
LEVELS = (0.5, 0.65, 0.8, 0.9)
THRESHOLDS = (0.3, 0.4, 0.5)
DEFAULT = Inferred()


@dataclass(frozen=True)
class Change:
    """One thing's colour, before and after: captions, the picture (H, W, 3) and the thing's mask (H, W); the scene
    afterwards, and which of its attributes is another."""

    thing: str
    before: str
    after: str
    picture: np.ndarray
    mask: np.ndarray
    scene: vignettes.Scene
    attribute: str


def changes(count: int, size: int) -> Iterator[Change]:
    """`count` changes of colour, of things that cover at least 1.5 % of the picture and that the captions name."""
    index = 0
    while count:
        scene, index = vignettes.scene(WORLD, index), index + 1
        own = scene["subject"] if scene["color"] != NONE else ""
        names = [own] if own else [garment for garment in GARMENTS if scene[garment] != NONE]
        if not names or names[0] not in SEMANTIC:
            continue
        thing = names[index % len(names)]
        attribute = "color" if own else thing
        others = [c for c in COLOURS if c not in (scene[attribute], HELD_OUT_COLOURS[thing])]
        changed = scene.with_attributes(**{attribute: others[index % len(others)]})
        words = next((pair for pair in zip(scene.captions, changed.captions, strict=True) if pair[0] != pair[1]), None)
        vignette = vignettes.draw(scene, size)
        assert vignette.semantic is not None
        mask = vignette.semantic == SEMANTIC[thing]
        if words is not None and mask.mean() >= LEAST:
            count -= 1
            yield Change(thing, *words, vignette.image, mask, changed, attribute)


def tensors(pictures: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def told(pipe: Pipe, prompts: Sequence[str]) -> Bound:
    stage = pipe.stage
    return bind(stage.denoiser, stage.encode([Recipe(prompt=prompt) for prompt in prompts]))


def iou(mask: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of each row, (B,)."""
    both, either = (mask * truth).flatten(1).sum(1), (mask + truth).clamp(max=1).flatten(1).sum(1)
    return both / either.clamp(min=1)


def masks(pipe: Pipe, found: Sequence[Change], draws: int, levels: Sequence[float]) -> None:
    factor, space = pipe.stage.space.factor, pipe.stage.space
    maps: dict[float, list[Tensor]] = {level: [] for level in levels}
    for begin in range(0, len(found), ROWS):
        batch = found[begin : begin + ROWS]
        source, target = told(pipe, [c.before for c in batch]), told(pipe, [c.after for c in batch])
        x0, noise = space.encode(tensors([c.picture for c in batch])), KeyedNoise(range(begin, begin + len(batch)))
        for level in levels:
            drawn = [disagreement(source, target, x0, level, noise.at("mask", i)) for i in range(draws)]
            maps[level].append(torch.stack(drawn))
    pixels = torch.from_numpy(np.stack([c.mask for c in found])).float()[:, None]
    cells = (functional.avg_pool2d(pixels, factor) >= 0.5).float()
    grown = partial(functional.interpolate, scale_factor=factor, mode="nearest")

    def score(level: float, threshold: float, count: int = draws) -> tuple[Tensor, Tensor]:
        mask = binarized(torch.cat([drawn[:count].mean(0) for drawn in maps[level]]), threshold)
        return iou(mask, cells), iou(grown(mask), pixels)

    print(f"\n{len(found)} changes of colour; the things cover {pixels.mean():.1%} of their pictures on average.")
    print(f"Cells alone, without error, would have an IoU of {iou(grown(cells), pixels).mean():.3f} in pixels.\n")
    print("| noise level | " + " | ".join(f"threshold {threshold:g}" for threshold in THRESHOLDS) + " |")
    print("|---" * (len(THRESHOLDS) + 1) + "|")
    for level in levels:
        row = (tuple(float(each.mean()) for each in score(level, threshold)) for threshold in THRESHOLDS)
        print(f"| {level:g} | " + " | ".join(f"{inside:.3f} cells, {whole:.3f} pixels" for inside, whole in row) + " |")
    if DEFAULT.level not in levels:
        return
    print(f"\nAt level {DEFAULT.level:g} and threshold {DEFAULT.threshold:g}, in cells:\n")
    print("| draws | mean IoU |\n|---|---|")
    for count in sorted({1, 2, 5, draws} & set(range(1, draws + 1))):
        print(f"| {count} | {score(DEFAULT.level, DEFAULT.threshold, count)[0].mean():.3f} |")
    each = score(DEFAULT.level, DEFAULT.threshold)[0]
    print("\n| thing | pictures | mean IoU |\n|---|---|---|")
    for thing in sorted({c.thing for c in found}):
        rows = torch.tensor([c.thing == thing for c in found])
        print(f"| {thing} | {int(rows.sum())} | {each[rows].mean():.3f} |")


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Of pictures in [-1, 1], (B,) decibel."""
    return -10 * ((a.clamp(-1, 1) - b.clamp(-1, 1)) / 2).square().flatten(1).mean(1).log10()


def there_and_back(start: Inversion) -> Tensor:
    noise = KeyedNoise([0] * len(start.x0))
    x, times = start(start.source, start.times, noise)
    for step in trajectory(start.source, DDIM(), x, times, noise):
        x = step.x
    return x


def trips(pipe: Pipe, found: Sequence[Change], steps: Sequence[int], refine: int) -> None:
    space, schedule = pipe.stage.space, pipe.stage.denoiser.schedule
    results: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
    ceiling = []
    for begin in range(0, len(found), ROWS):
        batch = found[begin : begin + ROWS]
        pictures, source = tensors([c.picture for c in batch]), told(pipe, [c.before for c in batch])
        x0 = space.encode(pictures)
        with torch.no_grad():
            best = space.decode(x0)
        ceiling.append(psnr(best, pictures))
        for count in steps:
            for iterations in (0, refine):
                x = there_and_back(Inversion(source, x0, grid("uniform", count, schedule), 1.0, iterations))
                with torch.no_grad():
                    back = space.decode(x)
                results.setdefault((count, iterations), []).append((psnr(back, pictures), psnr(back, best)))
    print(f"\n{len(found)} pictures, inverted to t = 1 with their captions and back; the autoencoder alone has "
          f"{torch.cat(ceiling).mean():.2f} dB.\n")  # fmt: skip
    print("| steps | iterations a step | network calls | PSNR to the picture | to the autoencoder's |")
    print("|---" * 5 + "|")
    for (count, iterations), rows in results.items():
        whole, own = (torch.cat(each).mean() for each in zip(*rows, strict=True))
        print(f"| {count} | {iterations} | {count * (2 + iterations)} | {whole:.2f} dB | {own:.2f} dB |")


WAYS: dict[str, tuple[str, Callable[[Image.Image, str], Any]]] = {
    "DDIM": ("ddim", lambda picture, words: spec.Inverted(picture, 1.0, words, 2)),
    "DDIM, null text": ("ddim", lambda picture, words: spec.Inverted(picture, 1.0, words, 2, 10)),
    "edit-friendly": ("ddpm", lambda picture, words: spec.EditFriendly(picture, 1.0, words)),
}


def guided(pipe: Pipe, found: Sequence[Change], scale: float, steps: int = 20) -> None:
    """Sampling with guidance, from what was inverted without: with the same words, and with those of the change."""
    space = pipe.stage.space
    print(f"\n{len(found)} pictures, inverted unguided and sampled in {steps} steps with guidance {scale:g}.\n")
    print("| inversion | PSNR to the autoencoder's | other words: outside the thing | inside | seconds a picture |")
    print("|---" * 5 + "|")
    for name, (sampler, start) in WAYS.items():
        rows, began = [], time.perf_counter()
        for change in found:
            picture = Image.fromarray(change.picture)
            given = {
                "start": start(picture, change.before),
                "sampler": sampler,
                "guidance": [spec.ClassifierFree(scale)],
                "steps": steps,
            }
            same, other = (tensors([np.asarray(pipe(w, **given).image)]) for w in (change.before, change.after))
            with torch.no_grad():
                best = space.decode(space.encode(tensors([change.picture]))).clamp(-1, 1)
            inside = torch.from_numpy(change.mask).expand_as(best)
            parts = (((other - best)[part] / 2).square().mean() for part in (~inside, inside))
            rows.append([float(psnr(same, best)), *(float(-10 * part.log10()) for part in parts)])
        seconds = (time.perf_counter() - began) / len(found) / 2
        print(f"| {name} | " + " | ".join(f"{each:.2f} dB" for each in np.mean(rows, 0)) + f" | {seconds:.0f} |")


def edits(pipe: Pipe, found: Sequence[Change], strengths: Sequence[float], scale: float, steps: int = 20) -> None:
    judge = Judge.load()
    print(f"\n{len(found)} pictures, DiffEdit in {steps} steps with guidance {scale:g}; what the judge reads of it.\n")
    print("| strength | what was asked, % | all else as it was, % |\n|---|---|---|")
    for strength in strengths:
        made = [
            pipe(
                change.after,
                start=spec.Inverted(Image.fromarray(change.picture), strength, change.before, 2),
                hold=Inferred(change.before),
                guidance=[spec.ClassifierFree(scale)],
                steps=steps,
            ).image
            for change in found
        ]
        right, others = [], []
        for change, verdict in zip(found, judge.predict(to_tensor(made)), strict=True):
            same = {name: verdict[name] == value for name, value in change.scene.attributes.items()}
            right.append(same.pop(change.attribute))
            others.append(all(same.values()))
        print(f"| {strength:g} | {share(right).percent()} | {share(others).percent()} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--draws", type=int, default=DEFAULT.draws)
    parser.add_argument("--levels", type=float, nargs="+", default=LEVELS)
    parser.add_argument("--steps", type=int, nargs="+", default=(20, 50, 100))
    parser.add_argument("--refine", type=int, default=2)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--strengths", type=float, nargs="+", default=(0.7, 0.8, 0.9, 0.95, 1.0))
    parser.add_argument("--only", choices=("masks", "trips", "guided", "edits"))
    options = parser.parse_args()
    pipe = sfumato.load(options.model)
    found = list(changes(options.count, max(pipe.size)))
    if options.only in (None, "masks"):
        masks(pipe, found, options.draws, options.levels)
    if options.only in (None, "trips"):
        trips(pipe, found, options.steps, options.refine)
    if options.only in (None, "guided"):
        guided(pipe, found, options.guidance)
    if options.only in (None, "edits"):
        edits(pipe, found, options.strengths, options.guidance)


if __name__ == "__main__":
    main()
