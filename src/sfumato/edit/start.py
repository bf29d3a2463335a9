"""Starts: where a trajectory begins, and the grid that begins there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from sfumato.condition import Condition
from sfumato.element import Element
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample.step import Denoise
from sfumato.times import from_strength

Times = Tensor | Callable[[float], Tensor]
"""A grid, or a function that builds it over [start, 0]."""


def rebuilt(times: Times, strength: float) -> Tensor:
    """The grid over [strength, 0]; the single knot [0] at strength 0. Raises BadInput unless 0 <= strength <= 1.

    A bare grid is rebuilt by stretching it in t; a function, such as `lambda start: grid("karras", 20, schedule,
    start)`, rebuilds it by its own rule.
    """
    if not 0 <= strength <= 1:
        raise BadInput(f"A strength lies between 0 (unchanged) and 1 (all noise), not {strength}.")
    if strength == 0:
        return torch.zeros(1, dtype=torch.float64)
    return times(strength) if callable(times) else from_strength(times, strength)


class Start(Element, kinds="start", package="sfumato.edit"):
    """Where a picture starts, as a recipe says it. `bind` makes the part that acts.

    Pure noise; a picture under noise (`SDEdit`); a picture inverted, so that the way back ends at it (`Inverted`,
    `EditFriendly`); two pictures mixed (`Between`). What follows, the steps and what is held, does not depend on which.
    """

    strength: float | ClassVar[float] = 1.0
    """The time t0 that the trajectory begins at: 0 is clean, 1 is noise."""

    noises: ClassVar[bool] = False
    """Whether it puts noise on a picture, as each stage of a model can."""

    enlarges: float | ClassVar[float] = 1.0
    """How many times larger a picture ends than it begins, where the model's own size is what it begins at."""

    def before(self, recipe: Any) -> Any | None:
        """The recipe of a walk that comes before that of `recipe`; None where it begins by itself."""
        return None

    def first_walk(self, steps: int, size: tuple[int, int]) -> dict[str, str]:
        """What A1111's web page writes of a walk before that of `steps` to the picture of `size`; nothing for none."""
        return {}

    def bind(self, batch: Any) -> BoundStart:
        """The start of a run of `batch` (a `sfumato.model.Batch`)."""
        raise NotImplementedError


class BoundStart:
    """A start in a run: called, it returns x (B, ...) and the grid that begins where x is.

    One that has to call the network before the first step (an inversion) does it in `prepare`, which yields once a
    call, `calls` times: progress and interruption belong to whoever iterates. A start may have its say later too: what
    the sampler is given for noise, what the network is told, and a last touch to every move.
    """

    calls: int = 0
    before: Any | None = None
    """The batch of a walk that comes before, which the run binds and hands to `following`; None for none."""

    def following(self, run: Any) -> BoundStart:
        """This start behind the run of `before` (a `sfumato.model.run.Run`), which `prepare` walks."""
        raise NotImplementedError

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def prepare(self) -> Iterator[Tensor | None]:
        """What has to be done before; yields after each network call, and what there is to see (B, ...) if anything."""
        yield from ()

    def noise(self, noise: NoiseSource) -> NoiseSource:
        """The noise of the steps, where a run's own is `noise`."""
        return noise

    def condition(self, condition: Condition) -> Condition:
        """What the network is told on the way."""
        return condition

    def after(self, x: Tensor, s: Tensor) -> Tensor:
        """x after a move to s."""
        return x

    @property
    def path(self) -> Callable[[Tensor], Tensor] | None:
        """Where the picture itself stood at the times that were passed on the way up; None if it was never walked."""
        return None
