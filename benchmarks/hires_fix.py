"""Hires fix beside painting at the large size at once: does the picture still show what was asked, and once?

mini, which was trained at 128 x 128, paints captions of vignettes at its own size, at `--scale` times that at once, and
there by hires fix at several strengths, the small picture enlarged as a picture or as latents. The judge, which looks
at 128 x 128, reads each. Sharpness: the mean absolute Laplacian of the luma, in 255ths; the small pictures enlarged by
Lanczos are what it is to be above.

    python benchmarks/hires_fix.py [--count 24] [--scale 2] [--steps 12] [--sheet FILE]
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path

import numpy as np
from inpainting import SEED, sheet
from PIL import Image

import sfumato
from sfumato.data import vignettes
from sfumato.edit import HiresFix, Noise
from sfumato.edit.start import Start
from sfumato.evaluate.attributes import judged
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.questions import ask
from sfumato.space.pixels import to_tensor

OWN = 128


def starts(scale: float) -> dict[str, Start]:
    pictures = {f"lanczos, strength {s}": HiresFix(scale, s) for s in (0.2, 0.3, 0.4, 0.5, 0.6)}
    latents = {f"latent-bicubic, strength {s}": HiresFix(scale, s, "latent-bicubic") for s in (0.4, 0.5, 0.6)}
    return {"at once": Noise(), **pictures, **latents}


def sharpness(picture: Image.Image) -> float:
    grey = np.asarray(picture.convert("L"), float)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.abs(4 * grey[1:-1, 1:-1] - around).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    pipe, judge = sfumato.load("mini"), Judge.load()
    questions = [ask(vignettes.scene(SEED, index, "seen")) for index in range(args.count)]
    side = round(OWN * args.scale / 8) * 8
    shown: list[list[Image.Image]] = []

    def row(name: str, pictures: list[Image.Image], seconds: float) -> None:
        scores = judged(
            judge, questions, to_tensor([each.resize((OWN, OWN), Image.Resampling.BOX) for each in pictures])
        )
        sharp = float(np.mean([sharpness(each) for each in pictures]))
        print(f"{name:<30}{scores.stated.percent():>22}{sharp:10.1f}{seconds / args.count:10.2f}", flush=True)
        shown.append(list(islice(pictures, 8)))

    print(f"{side} x {side}{'':<22}{'attributes as asked':>20}{'sharpness':>10}{'s each':>10}")
    captions = [question.caption for question in questions]
    began = time.perf_counter()
    small = pipe(captions, seed=1, steps=args.steps).images
    row("enlarged by Lanczos", [each.resize((side, side), Image.Resampling.LANCZOS) for each in small],
        time.perf_counter() - began)  # fmt: skip
    for name, start in starts(args.scale).items():
        began = time.perf_counter()
        made = pipe(captions, seed=1, steps=args.steps, start=start, width=side, height=side).images
        row(name, made, time.perf_counter() - began)
    if args.sheet:
        sheet(args.sheet, shown, 8, 1)


if __name__ == "__main__":
    main()
