"""What a sampler is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sfumato.element import Element
from sfumato.sample.step import Denoise

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.noise import NoiseSource

State = Any


class Sampler(Element, kinds="sampler", package="sfumato.sample"):
    """One way to walk a time grid, as a value: its fields are its options.

    It keeps nothing between two steps: what a multistep method remembers is the state that `init` begins and `step`
    passes on. t and s are 0-d; s == t is a corrector, s > t an inversion.
    """

    ancestral_eta: ClassVar[float | property] = 0.0
    """The eta of the `DDIM` that it equals, where it adds noise of its own: 1 is ancestral sampling."""
    reads_score: ClassVar[bool] = False
    """Whether it reads the score, or the flow's slope, at x_t from x0 and eps, and so needs them to belong to x_t."""

    def init(self, x: Tensor, times: Tensor) -> State:
        """The state before the first step from x (B, ...) along the grid `times`; nothing, for one-step methods."""
        return None

    def step(
        self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource
    ) -> tuple[Tensor, State]:
        """x moved from t to s, and the state for the next step."""
        raise NotImplementedError
