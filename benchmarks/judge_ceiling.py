"""How well the judge reads true pictures that nothing was trained on: the ceiling of every attribute accuracy.

Scenes of all combinations from a world of their own are drawn at 64 x 64 and judged three times: as they are, softened
by half (2 x 2 pixels averaged, then enlarged), and, with `--model`, encoded and decoded by that model's autoencoder.

    python benchmarks/judge_ceiling.py [--judge FOLDER] [--model mini] [--count 2000] [--json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from sfumato.data import vignettes
from sfumato.evaluate.attributes import drawn, through
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.metrics import psnr
from sfumato.evaluate.questions import questions
from sfumato.evaluate.statistics import Figure, mean, share


def main() -> None:
    options = _options()
    judge = Judge.load(options.judge) if options.judge else Judge.load()
    asked = questions(options.count, options.seed, "any")
    pictures = drawn(asked, (64, 64))
    halves = functional.interpolate(functional.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    looks = {"as drawn": pictures, "softened": halves}
    quality = None
    if options.model:
        import sfumato

        looks["autoencoder"] = through(sfumato.load(options.model).stages[-1].space, pictures)
        quality = mean(psnr(pictures, looks["autoencoder"]).tolist())
    truth = [question.scene.attributes for question in asked]
    found = {look: accuracy(judge, x, truth) for look, x in looks.items()}
    if options.json:
        told = {look: {name: figure.to_dict() for name, figure in each.items()} for look, each in found.items()}
        print(json.dumps({"count": options.count, "seed": options.seed, **told}, indent=1))
    else:
        tell(found, options.count, options.seed, quality)


def accuracy(judge: Judge, pictures: torch.Tensor, truth: list[dict[str, str]]) -> dict[str, Figure]:
    """The share of pictures of which each attribute is read rightly, "none" included, the mean of these shares over
    the attributes, and the share of pictures that are read without a mistake."""
    verdicts = judge.predict(pictures)
    right = np.array(
        [
            [verdict[name] == row[name] for name in vignettes.ATTRIBUTES]
            for verdict, row in zip(verdicts, truth, strict=True)
        ]
    )
    each = {name: share(right[:, i]) for i, name in enumerate(vignettes.ATTRIBUTES)}
    return {**each, "mean of the attributes": mean(right.mean(1)), "all of a picture": share(right.all(1))}


def tell(found: dict[str, dict[str, Figure]], count: int, seed: int, quality: Figure | None) -> None:
    from rich.console import Console
    from rich.table import Table

    view = Table(title=f"The judge on {count} true pictures of world {seed}, right in % (95 % interval)")
    view.add_column("attribute")
    for look in found:
        view.add_column(look, justify="right")
    for name in next(iter(found.values())):
        view.add_row(name, *(each[name].percent() for each in found.values()))
    Console().print(view)
    if quality:
        print(f"autoencoder: {quality.value:.2f} dB PSNR")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", type=Path, help="a folder; the built-in judge if not given")
    parser.add_argument("--model", help="a model whose autoencoder the pictures go through")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2_000_003)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
