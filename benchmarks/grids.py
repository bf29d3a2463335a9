"""Which time grid suits which sampler: attribute accuracy, and how much of the latents' variance is kept.

Scenes of both splits are asked of the model by every sampler on every grid, guided and unguided. An unguided model that
is solved well gives latents of the variance of the data's own (ratio 1); guidance adds to it. The last row takes many
steps, which is what a grid of few steps should come near to.

    python benchmarks/grids.py [--model mini] [--count 40] [--steps 20] [--samplers dpmpp-2m unipc] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

import sfumato
from sfumato.denoise import bind
from sfumato.edit import NoiseStart
from sfumato.evaluate.attributes import drawn, judged
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.questions import Question, questions
from sfumato.evaluate.statistics import Figure
from sfumato.guide import ClassifierFree, Guided
from sfumato.noise import KeyedNoise
from sfumato.recipe import Recipe
from sfumato.sample import Sampler, trajectory
from sfumato.space.pixels import to_images, to_tensor
from sfumato.times import TimeGrid, grid

SAMPLERS = ("dpmpp-2m", "dpmpp-2m-sde", "unipc")
BATCH = 8
SEED = 1_000_003


@dataclass(frozen=True)
class Row:
    """One sampler on one grid: stated attributes that are shown, and variance / variance of the data, twice."""

    sampler: str
    times: str
    steps: int
    accuracy: Figure
    guided: float
    unguided: float

    def told(self) -> dict[str, object]:
        return {**vars(self), "accuracy": self.accuracy.told()}


def main() -> None:
    options = _options()
    pipe, judge = sfumato.load(options.model), Judge.load()
    half = options.count // 2
    asked = [*questions(half, SEED, "seen"), *questions(options.count - half, SEED, "held-out")]
    true = variance(pipe.stages[-1].space.encode(drawn(asked, pipe.size)))

    def measured(case: tuple[str, str, int]) -> Row:
        guided, unguided = (latents(pipe, case, asked, scale) for scale in (options.guidance, 1.0))
        pictures = to_tensor(to_images(pipe.stages[-1].space.decode(guided)))
        accuracy = judged(judge, asked, pictures).stated
        return Row(*case, accuracy, variance(guided) / true, variance(unguided) / true)

    if not options.json:
        print(f"{'sampler':14} {'grid':10} steps  {'stated shown, %':>20}  variance guided  unguided", flush=True)
    rows = []
    for case in cases(options.samplers, options.grids, options.steps, options.many):
        rows.append(row := measured(case))
        if not options.json:
            print(
                f"{row.sampler:14} {row.times:10} {row.steps:5}  {row.accuracy.percent():>20}  {row.guided:15.3f}  "
                f"{row.unguided:8.3f}",
                flush=True,
            )
    if options.json:
        print(json.dumps([row.told() for row in rows], indent=1))


def cases(samplers: Sequence[str], grids: Sequence[str], steps: int, many: int) -> Iterator[tuple[str, str, int]]:
    yield from ((name, times, steps) for name in samplers for times in grids)
    if many:
        yield samplers[0], "uniform", many


def latents(pipe: sfumato.Pipe, case: tuple[str, str, int], asked: Sequence[Question], scale: float) -> Tensor:
    """The latents (N, C, H, W) of the questions' captions; picture i has the seed i."""
    stage, (name, times, steps) = pipe.stages[-1], case
    width, height = pipe.size
    denoiser, parts = Guided(stage.denoiser, [ClassifierFree(scale)]), []
    knots = grid(times, steps, denoiser.schedule)
    for first in range(0, len(asked), BATCH):
        part = asked[first : first + BATCH]
        noise = KeyedNoise(range(first, first + len(part)))
        like = torch.zeros(len(part), stage.space.channels, height // stage.space.factor, width // stage.space.factor)
        denoise = bind(denoiser, stage.encode([Recipe(prompt=question.caption) for question in part]))
        x, begun = NoiseStart(like)(denoise, lambda t0: knots, noise)
        parts += [step.x for step in trajectory(denoise, Sampler.registry.named(name), x, begun, noise)][-1:]
    return torch.cat(parts)


def variance(x: Tensor) -> float:
    """Over all of the latents' places and channels."""
    return float(x.double().var())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--many", type=int, default=100, help="steps of the last row; 0 leaves it out")
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS)
    parser.add_argument("--grids", nargs="+", default=list(TimeGrid.registry))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
