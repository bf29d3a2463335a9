"""RePaint's resampling: Lugmayr et al. 2022. The steps are walked again and again, with noise added in between."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Whole, element
from sfumato.lazy import Tensor
from sfumato.times import jumps


@element("resample")
class Resample:
    """RePaint's resampling (Lugmayr et al. 2022): every stretch of `length` steps is walked `repeats` times, with noise
    added in between, so that what is repainted and what is held come to agree.

    A run needs more than `length` steps, counted after the start's strength has shortened it; a run of fewer raises
    BadInput.
    """

    length: Whole = Field(default=10, ge=1, le=1000, description="a whole number of steps from 1 to 1000")
    repeats: Whole = Field(default=10, ge=1, le=100, description="a whole number from 1 (once, which is off) to 100")

    def __call__(self, times: Tensor) -> Tensor:
        """The grid with its jumps."""
        return jumps(times, self.length, self.repeats)
