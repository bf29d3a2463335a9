"""DDIM inversion: from a picture up to the noise that the sampler turns into it, deterministically."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

from sfumato.denoise import Prediction
from sfumato.edit.start import BoundStart, Times, rebuilt
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample.step import Denoise, Knots, ddim


def rise(denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """DDIM's step the other way, from t up to s: alpha_s x0 + sigma_s eps, with x0 and eps of (x, t).

    Song et al. 2021, section 4.3; Couairon et al. 2023, section 3.1. What comes back down from x_s takes eps at
    (x_s, s): the two are alike where steps are short (order 1).
    """
    with torch.no_grad():
        return ddim(_estimate(denoise, x, t), Knots.of(denoise.schedule, t, s))


def refined(denoise: Denoise, x: Tensor, t: Tensor, above: Tensor, s: Tensor) -> Tensor:
    """One fixed-point iteration for the x_s from which DDIM comes down to x at t exactly; `above` is the last guess.

    x_s <- x_s + c (x - ddim(x_s, s -> t)), c = (alpha_s + sigma_s)/(alpha_t + sigma_t). It is x_s <- c x +
    (alpha_s + sigma_s)(tau_s - tau_t)(eps - x0) with x0 and eps of (x_s, s), tau = sigma/(alpha + sigma): the implicit
    step of Pan et al. 2023 (AIDI, eq. 8) and Garibi et al. 2024 (ReNoise), which keep eps alone, in the form that is
    finite at both ends of every schedule. It contracts where the step is short beside 1/|d(eps - x0)/dx|.
    """
    down = Knots.of(denoise.schedule, s, t)
    c = (down.alpha_t + down.sigma_t) / (down.alpha_s + down.sigma_s)
    with torch.no_grad():
        return above + c * (x - ddim(denoise(above, s), down))


def _estimate(denoise: Denoise, x: Tensor, t: Tensor) -> Prediction:
    """At t = 0, where no network was trained, x0 is x itself and eps is asked at the schedule's last time."""
    if t > 0:
        return denoise(x, t)
    p = denoise(x, torch.full_like(t, denoise.schedule.last))
    return replace(p, x0=x.to(p.x0))


class Inversion(BoundStart):
    """The picture x0 (B, ...), inverted to t0 = strength by `rise`, and by `refine` iterations of `refined`.

    source: the denoiser told what the picture shows (or nothing, ""), without guidance: guided, inversion drifts off
        (Mokady et al. 2023, section 3.1).
    times: a grid from 1, or a function of the strength that builds one, as every start takes.

    DDIM from here, with the same source and grid, comes back to x0: for refine = 0 up to the steps' length, else up to
    what the iterations leave. The path is kept: `at(s)` is the picture at knot s, to which a hold may return.
    strength 0 is the picture as it is.
    """

    def __init__(self, source: Denoise, x0: Tensor, times: Times, strength: float = 0.6, refine: int = 0) -> None:
        if refine < 0:
            raise BadInput(f"The number of iterations that refine an inversion is 0 or more, not {refine}.")
        self.source, self.x0, self.refine = source, x0, refine
        self.times = rebuilt(times, strength)
        self.knots = self.times.unique()
        self.calls = (len(self.knots) - 1) * (1 + refine)
        self._path: dict[float, Tensor] = {}

    def prepare(self) -> Iterator[None]:
        """Walks upwards; yields after each of `calls` network calls."""
        x, path = self.x0, {0.0: self.x0}
        for t, s in pairwise(self.knots):
            above = rise(self.source, x, t, s)
            yield
            for _ in range(self.refine):
                above = refined(self.source, x, t, above, s)
                yield
            x = path[float(s)] = above
        self._path = path

    def at(self, s: Tensor | float) -> Tensor:
        """The picture on its path up, at knot s of `times`. Raises BadInput for a time between knots."""
        if not self._path:
            for _ in self.prepare():
                pass
        if float(s) not in self._path:
            raise BadInput(f"The inversion has no knot at t = {float(s):g}: walk the grid that it was made on.")
        return self._path[float(s)]

    @property
    def path(self) -> Callable[[Tensor], Tensor]:
        return self.at

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        return self.at(self.times[0]), self.times
