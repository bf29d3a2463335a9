"""What the plain loop costs beyond the network, in milliseconds of processor time a step.

    python benchmarks/loop.py

The denoiser here does nothing but look up the schedule, on one 4 x 16 x 16 latent, and on a guided pair.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from sfumato.condition import Condition, Text
from sfumato.denoise import Prediction, bind
from sfumato.guide import ClassifierFree, Guided
from sfumato.noise import KeyedNoise
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import Discrete
from sfumato.times import grid

SCHEDULE = Discrete.named("scaled_linear", 1000, 0.00085, 0.012)
STEPS = 200


class Nothing:
    """A denoiser without a network."""

    schedule = SCHEDULE

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        alpha, sigma = SCHEDULE(t)
        return Prediction(x, x, x, alpha, sigma)


def milliseconds(name: str, guided: bool, repeats: int = 7) -> float:
    """The best of some runs."""
    text = Text(torch.zeros(1, 77, 256), negative=Text(torch.ones(1, 77, 256)))
    denoise = bind(Guided(Nothing(), [ClassifierFree(5.0)]) if guided else Nothing(), Condition((text,)))
    noise, times = KeyedNoise([0]), grid("uniform", STEPS, SCHEDULE)
    x = noise(torch.zeros(1, 4, 16, 16), "start")
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        for _ in trajectory(denoise, Sampler.registry.named(name), x, times, noise):
            pass
        best = min(best, time.process_time() - began)
    return best / STEPS * 1e3


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'sampler':<16}{'plain':>10}{'guided':>10}   ms a step")
    for name in Sampler.registry:
        print(f"{name:<16}{milliseconds(name, False):>10.3f}{milliseconds(name, True):>10.3f}")


if __name__ == "__main__":
    main()
