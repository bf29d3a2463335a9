"""Inpainting: what is outside the mask stays to the byte, and what is asked for stands inside it.

Each case is a vignette that nothing was trained on and the same scene with one garment or colour changed, so that the
true answer is known. The mask is the box around what differs, grown by two pixels; the prompt says the changed scene.
Each model sees it at its own size. Three ways fill it: mini-inpaint, mini held outside the mask (RePaint's imputation,
no training), and stock diffusers' StableDiffusionInpaintPipeline with the former's weights, where these are of nine
channels, as it wants them. Pictures are saved as PNG and read again.

    python benchmarks/inpainting.py [--count 200] [--steps 20] [--guidance 4] [--sheet FILE]
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import sfumato
from sfumato.data import vignettes
from sfumato.data.vignettes import COLOURS
from sfumato.data.vignettes.dice import Dice
from sfumato.data.vignettes.vocabulary import FIGURES, GARMENTS, NONE
from sfumato.edit import Outside
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.pairs import Pair, pair
from sfumato.evaluate.statistics import mean, share
from sfumato.formats.folder import config_of
from sfumato.guide import ClassifierFree
from sfumato.space.pixels import to_tensor
from sfumato.zoo.find import find

SEED = 1_000_003
NINE = 9
Fill = Callable[[Pair, int], Image.Image]


def cases(size: int, seed: int = SEED) -> Iterator[Pair]:
    """Endless, size x size: a garment that is worn, or seldom one that is not, or a thing takes another colour."""
    for index in count():
        before, dice = vignettes.scene(seed, index, "seen"), Dice(seed, index, "inpainting")
        worn = [name for name in GARMENTS if before[name] != NONE]
        if before["subject"] in FIGURES:
            attribute = dice.choose(GARMENTS if not worn or dice.chance(0.25) else worn)
        elif before["color"] != NONE:
            attribute = "color"
        else:
            continue
        value = dice.choose([colour for colour in COLOURS if colour != before[attribute]])
        found = pair(before, attribute, value, size)
        if found is not None and not vignettes.held_out(found.scene):
            yield found


def ours(model: str, steps: int, guidance: float) -> Fill:
    pipe = sfumato.load(model)

    def fill(case: Pair, seed: int) -> Image.Image:
        hold = Outside(case.hole, case.before)
        return pipe(case.prompt, hold=hold, guidance=[ClassifierFree(guidance)], steps=steps, seed=seed).image

    return fill


def stock(model: str, steps: int, guidance: float) -> Fill:
    from diffusers import StableDiffusionInpaintPipeline

    pipe: Any = StableDiffusionInpaintPipeline.from_pretrained(find(model), dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)

    def fill(case: Pair, seed: int) -> Image.Image:
        return pipe(
            case.prompt, image=case.before, mask_image=case.hole, width=case.before.width, height=case.before.height,
            num_inference_steps=steps, guidance_scale=guidance, generator=torch.Generator().manual_seed(seed),
        ).images[0]  # fmt: skip

    return fill


def saved(image: Image.Image) -> Image.Image:
    """The picture as whoever opens its PNG sees it."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return Image.open(file).convert("RGB")


def measured(judge: Judge, asked: list[Pair], pictures: list[Image.Image], seconds: float) -> dict[str, Any]:
    """Differences outside the mask in 255ths; shares of pictures in which the judge reads the new attribute, and all
    other attributes as they were."""
    verdicts = judge.predict(to_tensor(pictures))
    errors, right, others = [], [], []
    for case, picture, verdict in zip(asked, pictures, verdicts, strict=True):
        difference = np.abs(np.asarray(picture, int) - np.asarray(case.before, int))
        errors.append(difference[np.asarray(case.hole) == 0])
        wanted = case.scene.attributes
        right.append(verdict[case.attribute] == wanted[case.attribute])
        others.append(all(verdict[name] == value for name, value in wanted.items() if name != case.attribute))
    return {
        "largest": max(int(error.max()) for error in errors),
        "mean": mean([float(error.mean()) for error in errors]),
        "asked": share(right),
        "others": share(others),
        "seconds": seconds / len(asked),
    }


def main() -> None:
    options = _options()
    judge = Judge.load()
    size, mini = (max(sfumato.load(name).size) for name in (options.model, "mini"))
    asked = {each: list(islice(cases(each), options.count)) for each in {size, mini}}
    fill: dict[str, tuple[int, Fill]] = {
        "nothing done": (size, lambda case, _: case.before),
        "the true picture": (size, lambda case, _: case.after),
        "mini-inpaint": (size, ours(options.model, options.steps, options.guidance)),
        "mini, held outside": (mini, ours("mini", options.steps, options.guidance)),
    }
    if config_of(find(options.model), "unet").get("in_channels") == NINE:
        fill["stock diffusers, mini-inpaint"] = (size, stock(options.model, options.steps, options.guidance))
    made: dict[str, list[Image.Image]] = {name: [] for name in fill}
    seconds = dict.fromkeys(fill, 0.0)
    for seed in range(options.count):  # every way sees the machine as busy as the others do
        for name, (side, way) in fill.items():
            began = time.process_time()
            picture = way(asked[side][seed], seed)
            seconds[name] += time.process_time() - began
            made[name].append(saved(picture))
    tell({name: measured(judge, asked[side], made[name], seconds[name]) for name, (side, _) in fill.items()}, options)
    if options.sheet:
        grey = Image.new("RGB", (size, size), "grey")
        hidden = [Image.composite(grey, case.before, case.hole) for case in asked[size]]
        rows = [made["nothing done"], hidden, *list(made.values())[2:], made["the true picture"]]
        sheet(options.sheet, [[picture.resize((size, size)) for picture in row] for row in rows])


def tell(rows: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    print(f"{options.count} pictures, {options.steps} steps, guidance {options.guidance:g}; differences in 255ths\n")
    print("| | largest difference outside | mean | what was asked, % | all else as it was, % | CPU seconds a picture |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        asked, others = (row[key].percent() for key in ("asked", "others"))
        figures = f"{row['largest']} | {row['mean'].value:.2f} | {asked} | {others} | {row['seconds']:.2f}"
        print(f"| {name} | {figures} |")


def sheet(path: Path, rows: list[list[Image.Image]], most: int = 12, zoom: int = 2) -> None:
    """The first cases side by side, one way a row."""
    from sfumato.train.report import grid

    shown = np.stack([np.asarray(picture) for row in rows for picture in row[:most]])
    Image.fromarray(grid(shown, min(most, len(rows[0])), zoom)).save(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--model", default="mini-inpaint", help="a model that inpaints")
    parser.add_argument("--sheet", type=Path, help="also draw the first cases side by side")
    return parser.parse_args()


if __name__ == "__main__":
    main()
