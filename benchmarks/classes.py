"""How well a class-conditional model draws the classes it is told: read by a classifier that shares nothing with it.

Pictures of every class, as many of each, are drawn with classifier-free guidance, and without their class but guided by
a noisy classifier, at several scales. A clean classifier reads them: how many it takes for their class, and on its
features FID, precision and recall against true pictures that nothing was trained on. The first line is true pictures
against other true ones: the ceiling.

    python benchmarks/classes.py DATA.npz [--model fashion] [--count 500] [--free 1 2] [--classifier 0 1 3 10] [--json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sfumato
from sfumato.condition import Condition, Label
from sfumato.denoise import bind
from sfumato.edit.noise_start import NoiseStart
from sfumato.evaluate.metrics import Moments, frechet, inception_score, precision, recall
from sfumato.evaluate.statistics import Figure, share
from sfumato.guide import ClassifierFree, Guided
from sfumato.guide.classifier_guidance import ClassifierGradient
from sfumato.network.classifier import Classifier
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DPMpp2M, trajectory
from sfumato.times import TrailingGrid
from sfumato.zoo import place


@torch.no_grad()
def drawn(model: Any, told: Tensor, guidance: Any, steps: int, seed: int, batch: int = 100) -> Tensor:
    """A picture of each class in `told`, (N, C, H, W) in [-1, 1] as 8 bits hold them."""
    stage, size, rows = model.stage, model.size, []
    denoiser = Guided(stage.denoiser, [guidance])
    times = TrailingGrid()(steps, denoiser.schedule)
    for start in range(0, len(told), batch):
        some = told[start : start + batch]
        noise = KeyedNoise([seed + start + i for i in range(len(some))])
        denoise = bind(denoiser, Condition((Label(some, stage.capabilities.none),)))
        like = torch.zeros(len(some), stage.space.channels, size[1], size[0])
        x, grid = NoiseStart(like)(denoise, times, noise)
        for step in trajectory(denoise, DPMpp2M(), x, grid, noise):
            x = step.x
        rows.append((x.clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1)
    return torch.cat(rows)


@torch.no_grad()
def read(judge: Classifier, pictures: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Features and logits."""
    features = torch.cat([judge.features(part) for part in pictures.split(200)])
    return features.double().numpy(), judge.head(features).double().numpy()


def figures(found: tuple[np.ndarray, np.ndarray], ids: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    features, logits = found
    return {
        "right": share(logits.argmax(1) == ids),
        "FID": frechet(Moments.of(features), Moments.of(true)),
        "IS": float(inception_score(logits)[0]),
        "precision": float(precision(features, true)[0]),
        "recall": float(recall(features, true)[0]),
    }


def main() -> None:
    options = _options()
    try:
        rows = measured(options)
    except BadInput as error:
        raise SystemExit(str(error)) from error
    if options.json:
        told = {k: {n: v.told() if isinstance(v, Figure) else v for n, v in row.items()} for k, row in rows.items()}
        print(json.dumps({"count": options.count, "steps": options.steps, "seed": options.seed, **told}, indent=1))
        return
    print(f"{options.model}, {options.count} pictures a line, {options.steps} steps; features of {options.judge}")
    print("| | right in % | FID | IS | precision | recall |\n|---|---|---|---|---|---|")
    for name, row in rows.items():
        rest = [f"{row['FID']:.2f}", f"{row['IS']:.2f}", f"{row['precision']:.3f}", f"{row['recall']:.3f}"]
        print(f"| {name} | {row['right'].percent()} | " + " | ".join(rest) + " |")


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    with np.load(options.data) as file:
        pictures, ids = (file[name] for name in options.arrays)
    order = np.random.default_rng(options.seed).permutation(len(ids))
    pictures = torch.from_numpy(pictures[order]).float()[:, None] / 127.5 - 1
    ids = ids[order]
    judge, model = Classifier.load(options.judge), sfumato.load(options.model)
    features, logits = read(judge, pictures)
    true = features[options.count :]
    rows = {"true pictures": figures((features[: options.count], logits[: options.count]), ids[: options.count], true)}
    each, none = options.count // judge.classes, model.stage.capabilities.none
    told = torch.arange(judge.classes).repeat_interleave(each)
    for scale in options.free:
        made = drawn(model, told, ClassifierFree(scale), options.steps, options.seed)
        rows[f"classifier-free, scale {scale:g}"] = figures(read(judge, made), told.numpy(), true)
    noisy = Classifier.load(options.noisy) if options.classifier else None
    for scale in options.classifier:
        towards = [ClassifierGradient(noisy, scale, label=k) for k in range(judge.classes)]
        unknown = torch.full((each,), none)
        parts = [drawn(model, unknown, g, options.steps, options.seed + k * each) for k, g in enumerate(towards)]
        rows[f"classifier, scale {scale:g}"] = figures(read(judge, torch.cat(parts)), told.numpy(), true)
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a .npz of grey pictures and their classes")
    parser.add_argument("--arrays", nargs=2, default=("test_x", "test_y"), metavar=("X", "Y"))
    parser.add_argument("--model", default="fashion")
    parser.add_argument("--judge", type=Path, default=place("fashion/features"))
    parser.add_argument("--noisy", type=Path, default=place("fashion/classifier"))
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--free", type=float, nargs="*", default=[1.0, 2.0])
    parser.add_argument("--classifier", type=float, nargs="*", default=[0.0, 1.0, 3.0, 10.0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=3_000_017)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
