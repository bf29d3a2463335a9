"""Noise: which numbers a seed stands for.

| name | whose | file |
|---|---|---|
| `keyed` | ours: a function of (seed, what it is for), so that no use disturbs another | `keyed` |
| `torch` | stock diffusers': one CPU generator a picture, draws in their order | `torch_noise` |
| `a1111-cpu` | A1111's web page, RNG: CPU | `torch_noise` |
| `a1111-gpu` | A1111's web page on a GPU, its default: Philox, as CUDA draws | `philox` |
"""

from sfumato.noise.given import Latents
from sfumato.noise.keyed import Keyed, KeyedNoise
from sfumato.noise.philox import A1111GpuNoise
from sfumato.noise.source import Key, NoiseSource, Randomness
from sfumato.noise.streams import Streams
from sfumato.noise.torch_noise import A1111CpuNoise, TorchNoise

__all__ = [
    "A1111CpuNoise",
    "A1111GpuNoise",
    "Key",
    "Keyed",
    "KeyedNoise",
    "Latents",
    "NoiseSource",
    "Randomness",
    "Streams",
    "TorchNoise",
]
