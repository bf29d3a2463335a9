"""Edit-friendly inversion: the noise with which ancestral sampling paints a given picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import Field

from sfumato.edit.start import BoundStart, Start, Times, rebuilt
from sfumato.element import Kept, Real, element
from sfumato.lazy import Tensor, torch
from sfumato.noise import Key, NoiseSource
from sfumato.picture import BadInput
from sfumato.sample.step import Denoise, Knots
from sfumato.schedule import noised


@element("edit-friendly")
class EditFriendly(Start):
    """Start from `picture`, with the very noise from which ancestral sampling ("ddpm" or DDIM(eta)) paints it
    (Huberman-Spiegelglas et al. 2024): with the words of `shows`, unguided, it comes back to rounding, and with others
    the noise carries over what they say nothing of.
    """

    picture: Kept = Field(description="a picture: a path, bytes, a PIL image, an array or a Ref")
    strength: Real = Field(
        default=0.7, ge=0, le=1, description="a number from 0 (the picture as it is) to 1 (where it is all noise)"
    )
    shows: str = Field(default="", max_length=20_000, description="text of at most 20,000 characters")

    def bind(self, batch: Any) -> EditFriendlyInversion:
        if batch.rises:
            raise BadInput(
                "An edit-friendly start replays noise step by step; resampling and restart walk anew: leave one out."
            )
        eta = batch.recipe.sampler.ancestral_eta
        if not eta:
            raise BadInput(
                "An edit-friendly start gives ancestral sampling its noise: choose the sampler ddpm or DDIM(eta=1)."
            )
        x0 = batch.encoded(batch.images["start"])
        return EditFriendlyInversion(batch.shown(self.shows), x0, batch.times, batch.noise, self.strength, eta)


@dataclass(frozen=True, eq=False)
class Replayed(NoiseSource):
    """Noise that gives maps (n, B, ...) back as the noise of steps 0 to n - 1, and any other from `others`."""

    maps: Tensor
    others: NoiseSource
    key: tuple[Key, ...] = ()

    def __call__(self, like: Tensor, *key: Key) -> Tensor:
        match (*self.key, *key):
            case ("step", int(i)) if i < len(self.maps):
                return self.maps[i].to(like)
            case whole:
                return self.others(like, *whole)

    def at(self, *key: Key) -> Replayed:
        return Replayed(self.maps, self.others, (*self.key, *key))


class EditFriendlyInversion(BoundStart):
    """A start, the noise and the last touch of a picture x0 (B, ...): DDPM painting from them paints that picture.

    Huberman-Spiegelglas et al. 2024, section 3.1 and algorithm 1. Unlike a trajectory, x_t is drawn for each knot with
    noise of its own, x_t = alpha_t x0 + sigma_t z_t; then the maps are what the sampler needs to go from one to the
    next, (x_s - mean(x_t))/std. They are larger than noise and alike from step to step, so that they carry the picture
    through another prompt. The sampler is `DDIM(eta)`; eta = 1 is `DDPM("small")`. Its last step adds no noise: what
    it leaves of the picture is added `after` the move to s = 0.

    source: the denoiser told what the picture shows, with or without guidance.
    """

    def __init__(
        self, source: Denoise, x0: Tensor, times: Times, noise: NoiseSource, strength: float = 0.7, eta: float = 1.0
    ) -> None:
        if not 0 < eta <= 1:
            raise BadInput(f"Edit-friendly inversion is for samplers that add noise: give eta above 0, not {eta}.")
        self.source, self.x0, self.eta = source, x0, eta
        self.times = rebuilt(times, strength)
        self.calls = len(self.times) - 1
        self._others = noise
        self._top, self._rest = x0, torch.zeros_like(x0)
        self._maps: list[Tensor] = []
        self._done = False

    def prepare(self) -> Iterator[None]:
        """Extracts the maps; yields after each of `calls` network calls."""
        schedule, maps = self.source.schedule, []
        drawn = [noised(schedule, self.x0, t, self._others(self.x0, "drawn", i)) for i, t in enumerate(self.times)]
        self._top = x = drawn[0]
        for (t, s), goal in zip(pairwise(self.times), drawn[1:], strict=True):
            step = Knots.of(schedule, t, s)
            with torch.no_grad():
                p = self.source(x, t)
            kept = step.sigma_s * math.sqrt(1 - self.eta**2 * step.fresh)
            mean, std = step.alpha_s * p.x0 + kept * p.eps, step.sigma_s * self.eta * math.sqrt(step.fresh)
            if std > 0:
                maps.append((goal - mean) / std)
                x = mean + std * maps[-1]  # and not goal, from which it differs by rounding
            else:
                self._rest = self.x0 - mean
            yield
        self._maps = maps
        self._done = True

    def noise(self, noise: NoiseSource) -> NoiseSource:
        """The maps in the place of the steps' noise."""
        self._prepared()
        return Replayed(torch.stack(self._maps), noise) if self._maps else noise

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        self._prepared()
        return self._top, self.times

    def after(self, x: Tensor, s: Tensor) -> Tensor:
        """Acts at s = 0 alone."""
        self._prepared()
        return x if s > 0 else x + self._rest

    def _prepared(self) -> None:
        if not self._done:
            for _ in self.prepare():
                pass
