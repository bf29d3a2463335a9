"""The straight line of flow matching, shifted by how many steps are walked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sfumato.schedule.flow import Flow


@dataclass(frozen=True)
class FlowBySteps(Flow):
    """A `Flow` whose shift is known for every number of steps (Black Forest Labs 2025, "FLUX.2").

    shift: that of the steps which suit the network: what t means. shift_at: steps -> the shift at which `UniformGrid`
    spaces so many of them.
    """

    shift_at: Callable[[int], float] | None = field(default=None, repr=False, compare=False)

    def at_steps(self, steps: int) -> Flow:
        """The schedule on which so many equal steps are walked."""
        return Flow(self.shift if self.shift_at is None else self.shift_at(steps), self.last)
