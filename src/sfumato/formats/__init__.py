"""From a folder to a Stage: one file a format, chosen by the class of the network.

| network | format | file |
|---|---|---|
| `UNet2DConditionModel` | Stable Diffusion 1 and 2: words; latents, or pixels in patches | `stable_diffusion` |
| `UNet2DModel` | DDPM: pixels, unconditional or conditioned on a class | `pixels` |
"""

from __future__ import annotations

from collections.abc import Callable

from sfumato.formats.parts import PARAMETERIZATIONS, Parts, noise_schedule
from sfumato.formats.pixels import pixels
from sfumato.formats.stable_diffusion import stable_diffusion
from sfumato.network import Engine
from sfumato.stage import Stage

__all__ = ["FORMATS", "PARAMETERIZATIONS", "Format", "Parts", "noise_schedule"]

Format = Callable[[Parts, Engine], tuple[Stage, tuple[int, int], int]]
"""The stage of a model, the (width, height) that it was trained at, and what each side must be a multiple of."""

FORMATS: dict[str, Format] = {
    "UNet2DConditionModel": stable_diffusion,
    "UNet2DModel": pixels,
}
