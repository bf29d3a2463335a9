"""Masks inferred from words: where two texts disagree about a picture (DiffEdit, Couairon et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from sfumato.edit.ddim_inversion import Inversion
from sfumato.edit.hold import BoundHold, Hold, blend
from sfumato.edit.mask_shape import grow
from sfumato.edit.outside import Imputation
from sfumato.edit.start import BoundStart
from sfumato.element import Kept, Real, Whole, element
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample.step import Denoise
from sfumato.schedule import noised

OUTLIERS = 0.02


@element("inferred")
class Inferred(Hold):
    """Hold what lies outside the mask that two texts infer (DiffEdit): where the recipe's words and `shows` disagree
    about `picture` (None: the start's), it may change; elsewhere it is its own inversion, and in the end itself.

    `draws` noises of time `level` are averaged, and what exceeds `threshold` of the range is the mask, grown by `grow`
    pixels. `refine` as in `Inverted`, where the start is not one.
    """

    shows: str = Field(default="", max_length=20_000, description="text of at most 20,000 characters")
    picture: Kept | None = Field(default=None, description="a picture: a path, bytes, a PIL image, an array or a Ref")
    draws: Whole = Field(default=10, ge=1, le=1000, description="a whole number from 1 to 1000")
    level: Real = Field(default=0.8, gt=0, le=1, description="a time above 0 and up to 1")
    threshold: Real = Field(default=0.4, ge=0, lt=1, description="a number from 0 and below 1")
    grow: Real = Field(default=0.0, ge=-4096, le=4096, description="a number of pixels, negative to shrink the mask")
    refine: Whole = Field(default=2, ge=0, le=100, description="a whole number from 0 (plain DDIM inversion) to 100")

    infers = True

    def bind(self, batch: Any, start: BoundStart) -> BoundHold | None:
        strength = batch.recipe.start.strength
        if strength == 0:
            return None
        if batch.found:  # in the stage before
            cells = torch.cat([batch.cells(mask) for mask in batch.found])
            return Imputation(cells).bind(batch.encoded(batch.images["held"]), batch.schedule)
        own = start if isinstance(start, Inversion) and self.picture is None else None
        source, x0 = batch.shown(self.shows), batch.encoded(batch.images["held"])
        return DiffEdit(
            source=source,
            target=batch.denoise(),
            path=own or Inversion(source, x0, batch.times, strength, self.refine),
            noise=batch.noise,
            draws=self.draws,
            level=self.level,
            threshold=self.threshold,
            grow=self.grow / batch.stage.space.factor,
            shared=own is not None,
        )


def disagreement(source: Denoise, target: Denoise, x0: Tensor, t: Tensor | float, noise: NoiseSource) -> Tensor:
    """|eps_source - eps_target| of the picture x0 (B, C, H, W) noised to t, averaged over channels: (B, 1, H, W).

    Section 3.2 of the paper, its first step. Guidance would multiply it by its scale, and so is left out.
    """
    t = torch.as_tensor(t, dtype=torch.float64)
    x = noised(source.schedule, x0, t, noise(x0))
    with torch.no_grad():
        return (source(x, t).eps - target(x, t).eps).abs().mean(1, keepdim=True)


def binarized(apart: Tensor, threshold: float = 0.4) -> Tensor:
    """1 where a map (B, 1, H, W), scaled to [0, 1], exceeds `threshold`, else 0; each picture by itself.

    The highest 2 % of its values are clipped before the map is scaled. A map that is constant (two texts that say the
    same) gives no mask: 0 everywhere.
    """
    values = apart.flatten(1)
    low, high = values.amin(1), values.quantile(1 - OUTLIERS, dim=1)
    return (apart > (low + threshold * (high - low)).reshape(-1, 1, 1, 1)).to(apart)


class DiffEdit(BoundHold):
    """Outside the mask that two texts infer, the picture on its inverted path; inside, what the sampler paints.

    Couairon et al. 2023, section 3.2: x <- M x + (1 - M) path(s), and at s = 0 the picture itself. Unlike noise, the
    inverted path is one that the sampler could have walked, so that both sides of the mask's edge fit each other.

    source, target: the denoiser told what the picture shows, and what it is to show; without guidance.
    path: the picture's inversion, on the grid that is walked. It may be the start too (`shared`): it then is prepared
        there; with another start this hold prepares it.
    draws, level: the maps of so many noises of time `level` are averaged. The paper's 50 % of Stable Diffusion's steps
        are 0.65 of a cosine schedule; on the built-in model masks are best at 0.8 (benchmarks/diffedit.py).
    threshold: the share of the map's range that is no change.
    grow: the mask is grown by so many cells, so that an edge that it cut short does not keep what was there.

    After `prepare`, `mask` (B, 1, H, W) says what was inferred. Each picture has its own, from its own seed.
    """

    infers = True

    def __init__(
        self,
        source: Denoise,
        target: Denoise,
        path: Inversion,
        noise: NoiseSource,
        draws: int = 10,
        level: float = 0.8,
        threshold: float = 0.4,
        grow: float = 0.0,
        shared: bool = False,
    ) -> None:
        if draws < 1:
            raise BadInput(f"A mask is inferred from at least 1 draw of noise, not {draws}.")
        if not 0 < level <= 1:
            raise BadInput(f"A mask is inferred at a time above 0 and up to 1, not {level}.")
        if not 0 <= threshold < 1:
            raise BadInput(f"The threshold of an inferred mask lies between 0 and 1, not {threshold}.")
        self.source, self.target, self.path, self.noise = source, target, path, noise
        self.draws, self.level, self.threshold, self.grow, self.shared = draws, level, threshold, grow, shared
        self.calls = draws + (0 if shared else path.calls)
        self.mask: Tensor | None = None

    def prepare(self) -> Iterator[None]:
        """Infers the mask; yields after each draw, for which the network is called twice."""
        if not self.shared:
            yield from self.path.prepare()
        total = torch.zeros_like(self.path.x0[:, :1])
        for i in range(self.draws):
            total += disagreement(self.source, self.target, self.path.x0, self.level, self.noise.at("mask", i))
            yield
        self.mask = grow(binarized(total / self.draws, self.threshold), self.grow)

    def masks(self) -> Tensor | None:
        return self.mask

    def __call__(self, x: Tensor, s: Tensor, noise: NoiseSource) -> Tensor:
        if self.mask is None:
            for _ in self.prepare():
                pass
        assert self.mask is not None
        return blend(self.mask, x, self.path.at(s))
