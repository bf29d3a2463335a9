"""The noise of torch's CPU generator, as stock diffusers and A1111's web page (RNG: CPU) draw it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from sfumato.element import Whole, element
from sfumato.lazy import Tensor, torch
from sfumato.noise.source import Randomness
from sfumato.noise.streams import Stream, Streams, shifted

DELTA = "a whole number from 0 to 2^31 - 1, where 0 is off"


@element("torch")
class TorchNoise(Randomness):
    """One torch CPU generator a picture, seeded with the picture's seed: stock diffusers with a list of generators.

    The first latents are its first draw, and a sampler's noise the next ones in order. torch keeps 32 bits of a seed
    for its first numbers, and draws in float32 here.
    """

    def source(self, seeds: Sequence[int]) -> Streams:
        return Streams([torch_stream(seed) for seed in seeds])


@element("a1111-cpu")
class A1111CpuNoise(Randomness):
    """A1111's web page with its random numbers from the CPU ("RNG: CPU"). eta_delta: its ENSD, which is added to the
    seed for all draws but the first."""

    eta_delta: Whole = Field(default=0, ge=0, lt=2**31, description=DELTA)

    def source(self, seeds: Sequence[int]) -> Streams:
        return Streams([shifted(torch_stream, seed, self.eta_delta) for seed in seeds])

    def infotext(self) -> dict[str, str]:
        return {"RNG": "CPU"} | ({"ENSD": str(self.eta_delta)} if self.eta_delta else {})


def torch_stream(seed: int) -> Stream:
    """Normal numbers from torch's CPU generator (a Mersenne Twister)."""
    generator = torch.Generator("cpu").manual_seed(seed)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=generator)

    return draw
