"""Holds: what is kept while the rest is sampled, put back after every move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sfumato.edit.mask_shape import shrinking
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.schedule import Schedule, noised

Held = Callable[[Tensor, Tensor, NoiseSource], Tensor]


class Hold(Protocol):
    """Bound to the picture and the schedule, it acts on x at time s after every move."""

    def bind(self, picture: Tensor, schedule: Schedule) -> Held: ...


@dataclass(frozen=True, eq=False)
class Outside(Hold):
    """Outside the mask, the picture noised to s: x <- m x + (1 - m) (alpha_s keep + sigma_s z).

    Song et al. 2021, appendix I.2 (imputation); with `times.jumps` it is RePaint (Lugmayr et al. 2022, eq. 8), on
    latents Blended Latent Diffusion (Avrahami et al. 2023). mask (1 or B, 1, H, W), or any shape that broadcasts to x,
    in [0, 1], 1 = repaint; soft masks blend. keep (1 or B, ...) is the picture to hold, the start's own if None.
    dilation: by how many cells the mask is dilated at s = 1, to shrink to itself as s falls (`shrinking`).

    Where the mask is 1, x is left to the bit; where it is 0, the result at s = 0 is `keep` to the bit.
    """

    mask: Tensor
    keep: Tensor | None = None
    dilation: float = 0.0

    def __post_init__(self) -> None:
        if not bool(((self.mask >= 0) & (self.mask <= 1)).all()):
            raise BadInput("A mask lies between 0 (kept) and 1 (repainted).")

    def bind(self, picture: Tensor, schedule: Schedule) -> Held:
        keep = picture if self.keep is None else self.keep

        def hold(x: Tensor, s: Tensor, noise: NoiseSource) -> Tensor:
            kept = keep.to(device=x.device, dtype=x.dtype).expand_as(x)
            if s > 0:
                kept = noised(schedule, kept, s, noise(x))
            return blend(shrinking(self.mask, self.dilation, float(s)), x, kept)

        return hold


def blend(mask: Tensor, x: Tensor, kept: Tensor) -> Tensor:
    """mask x + (1 - mask) kept: x to the bit where the mask is 1, `kept` to the bit where it is 0."""
    mask = mask.to(device=x.device, dtype=x.dtype)
    return torch.where(mask == 1, x, torch.where(mask == 0, kept, mask * x + (1 - mask) * kept))


def one_after_another(first: Held, then: Held | None) -> Held:
    """Both, in that order; of the same noise."""
    return first if then is None else lambda x, s, noise: then(first(x, s, noise), s, noise)
