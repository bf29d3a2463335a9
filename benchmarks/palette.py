"""Pictures mended by a model of pictures to pictures: how near the truth, and how much one picture's mendings differ.

Photographs that nothing was trained on are made worse (grey, with a hole, cropped, JPEG of quality 5 to 30) and mended
under several seeds. Nearness is PSNR over what had to be painted; diversity the mean standard deviation of a pixel over
the seeds there. Two models side by side, one trained with p = 1 and one with p = 2, repeat Saharia et al. 2022, section
4.1: L2 gives the more diverse samples.

    python benchmarks/palette.py --data data/grocery/grocery-test.tar [--models palette runs/palette/export] \\
        [--count 24] [--seeds 4] [--steps 20] [--sheet FILE]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import sfumato
from sfumato.edit import Outside, Source
from sfumato.evaluate.metrics import psnr
from sfumato.evaluate.statistics import mean
from sfumato.recipe import Recipe
from sfumato.space.pixels import mask_to_tensor, to_images, to_tensor
from sfumato.train import recipe as r
from sfumato.train import rng
from sfumato.train.degraded import HOLES, jpeg

QUALITY = (5, 30)


def worse(true: Tensor, task: str, index: int) -> tuple[Image.Image, Image.Image | None]:
    """The picture (3, H, W) as a task finds it, and the hole if there is one."""
    if task == "restore":
        true = jpeg(true, QUALITY[0] + rng.choice(QUALITY[1] - QUALITY[0] + 1, "quality", index))
    picture = to_images(true[None])[0]
    if task not in HOLES:
        return picture.convert("L").convert("RGB") if task == "colourise" else picture, None
    hole = HOLES[task](rng.key("hole", index), true.shape[-1])
    return picture, Image.fromarray(hole.astype(np.uint8) * 255)


def mended(
    pipe: Any, task: str, true: Tensor, index: int, options: argparse.Namespace
) -> tuple[Tensor, Tensor, Tensor]:
    """As it was found (1, 3, H, W), as it was mended under each seed, and where (1, 1, H, W)."""
    picture, hole = worse(true, task, index)
    hold = None if hole is None else Outside(hole, picture)
    asked = Recipe(model=pipe.name, source=Source(picture, task), hold=hold, guidance=(), steps=options.steps)
    made = pipe.run([replace(asked, seed=seed) for seed in range(options.seeds)]).images
    where = torch.ones(1, 1, *true.shape[1:]) if hole is None else mask_to_tensor(hole)
    return to_tensor([picture]), to_tensor(made), where


def main() -> None:
    options = _options()
    pipes = {name: sfumato.load(name) for name in options.models}
    size = next(iter(pipes.values())).size[0]
    data: Any = r.validate({"task": "palette", "data": {"kind": "tars", "path": options.data, "size": size}}).data
    source, _ = data.open(1, Path("runs/cache"), 1)
    true = source.batch(np.linspace(0, len(source) - 1, options.count).astype(int))
    rows = []
    print(
        f"{options.count} photographs, {options.seeds} seeds, {options.steps} steps; PSNR in dB, diversity in 255ths\n"
    )
    print("| model | task | as found | mended | mean of the seeds | diversity |\n|---|---|---|---|---|---|")
    for name, pipe in pipes.items():
        for task in pipe.capabilities.tasks:
            found, near, central, apart = [], [], [], []
            for index, picture in enumerate(true):
                before, after, where = mended(pipe, task, picture, index, options)
                found.append(float(psnr(before, picture[None], where)))
                near.append(float(psnr(after, picture.expand_as(after), where).mean()))
                central.append(float(psnr(after.mean(0, keepdim=True), picture[None], where)))
                spread = 127.5 * after.std(0, keepdim=True).mean(1, keepdim=True)
                apart.append(float((spread * where).sum() / where.sum()))
                if index < 3:
                    rows.append((before, after[:3], picture[None]))
            shown = [told(found) if task not in HOLES else "", *(told(values) for values in (near, central, apart))]
            print(f"| {name} | {task} | {' | '.join(shown)} |")
    if options.sheet:
        sheet(options.sheet, rows)


def told(values: list[float]) -> str:
    figure = mean(values)
    return f"{figure.value:.2f} ± {(figure.high - figure.low) / 2:.2f}"


def sheet(path: Path, rows: list[tuple[Tensor, ...]], zoom: int = 2) -> None:
    """A row for each picture: as found, three mendings, the truth."""
    from sfumato.train.report import grid
    from sfumato.train.task import to_pixels

    pictures = to_pixels(torch.cat([torch.cat(row) for row in rows]))
    Image.fromarray(grid(pictures, sum(len(part) for part in rows[0]), zoom)).save(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a webdataset tar of photographs, or a folder of them")
    parser.add_argument("--models", nargs="+", default=["palette"], help="what `sfumato train palette` exports")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sheet", type=Path, help="also draw the first of each task")
    return parser.parse_args()


if __name__ == "__main__":
    main()
