"""Networks and pictures that have a say in what the denoising network finds on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from sfumato.condition.part import Part
from sfumato.lazy import Tensor, torch

TIMES = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Steering(Part):
    """K things that steer a network, each while t lies in its interval, with a weight of its own in every row.

    weight (B, K): 0 leaves a row as if the thing were not there, to the bit. intervals: K times (low, high), both ends
    included. guess: which of them have no say in unconditional rows. It is the one part that drops in part.
    """

    weight: Tensor
    things: tuple[Any, ...]
    intervals: tuple[TIMES, ...]
    guess: tuple[bool, ...] = ()
    _known: dict[tuple[bool, ...], Any] = field(init=False, repr=False, default_factory=dict)

    @property
    def drops(self) -> bool:  # type: ignore[override]
        return any(self.guess)

    def null(self) -> Self:
        return self._weighed([not guess for guess in self.guess])

    def neutral(self, rows: int) -> Self:
        return replace(self, weight=self.weight.new_zeros(rows, self.weight.shape[1]))

    def at(self, t: Tensor | float) -> Self:
        """One and the same part for all times at which the same things act, so that nothing is built anew."""
        times = torch.as_tensor(t).reshape(-1).tolist()
        acts = [[low <= time <= high for low, high in self.intervals] for time in times]
        if all(map(all, acts)):
            return self
        if len(acts) > 1:
            return replace(self, weight=self.weight * self.weight.new_tensor(acts))
        key = tuple(acts[0])
        if key not in self._known:
            self._known[key] = self._weighed(acts[0])
        return self._known[key]

    def _weighed(self, kept: list[bool]) -> Self:
        return replace(self, weight=self.weight * self.weight.new_tensor(kept))


@dataclass(frozen=True, eq=False)
class Controls(Steering):
    """Networks whose answers are added to what the denoising network has found: ControlNets, T2I-Adapters.

    Each is called as thing(x, t, told) with the rows in which it counts; it answers `network.residuals.Residuals`.
    """

    things: tuple[Callable[..., Any], ...]


@dataclass(frozen=True, eq=False)
class ImagePrompts(Steering):
    """Pictures that cross-attention looks at beside the text, through keys and values of their own (IP-Adapter).

    Each thing is a `network.image_prompts.ImagePrompt`. empty (B,), bool: the rows that look at no picture's embedding.
    """

    empty: Tensor = field(default=None)  # type: ignore[assignment]

    drops: ClassVar[bool] = True  # type: ignore[override]

    def __post_init__(self) -> None:
        if self.empty is None:
            object.__setattr__(self, "empty", torch.zeros(len(self.weight), dtype=torch.bool))

    def null(self) -> ImagePrompts:
        return replace(self, empty=torch.ones_like(self.empty))

    def neutral(self, rows: int) -> ImagePrompts:
        return replace(super().neutral(rows), empty=self.empty.new_zeros(rows))
