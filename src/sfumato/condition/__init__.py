"""What a picture is conditioned on: typed, frozen parts in batched rows.

A `Condition` says for every row which guidance branch it serves and which picture it belongs to, so that all branches
go through the network in one call. Each part knows its own null, and whether it drops when a branch is made
unconditional: text, label and image do, planes put beside the picture do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from sfumato.condition.attention import Attention, Injection, Watched
from sfumato.condition.controls import Controls, ImagePrompts, Steering
from sfumato.condition.inputs import Concat, GuidanceScale, Image, Label, Layout, Level, References, Sizes
from sfumato.condition.part import Part
from sfumato.condition.regions import AttendedRegions, MixedRegions
from sfumato.condition.text import ScheduledText, Text
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput

__all__ = [
    "AttendedRegions",
    "Attention",
    "Concat",
    "Condition",
    "Controls",
    "GuidanceScale",
    "Image",
    "ImagePrompts",
    "Injection",
    "Label",
    "Layout",
    "Level",
    "MixedRegions",
    "Part",
    "References",
    "ScheduledText",
    "Sizes",
    "Steering",
    "Text",
    "Watched",
]

P = TypeVar("P", bound=Part)


@dataclass(frozen=True, eq=False)
class Condition:
    """Parts in batched rows, at most one of each type; branch and picture (B,) default to 0 and to 0 ... B - 1.

    `branch` says which guidance branch a row serves, `picture` which picture it belongs to. An unconditional network
    takes `Condition.empty(B)`.
    """

    parts: tuple[Part, ...]
    branch: Tensor = field(default=None)  # type: ignore[assignment]
    picture: Tensor = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        kinds = [type(part) for part in self.parts]
        if len(set(kinds)) < len(kinds):
            raise ValueError("A condition holds at most one part of each type.")
        counts = {type(part).__name__: part.rows for part in self.parts}
        if self.branch is not None:
            counts["branch"] = len(self.branch)
        if len(set(counts.values())) > 1:
            raise ValueError(f"The parts of a condition differ in rows: {counts}.")
        if not counts:
            raise ValueError("A condition without parts does not know its rows: use Condition.empty(rows).")
        rows = next(iter(counts.values()))
        if self.branch is None:
            object.__setattr__(self, "branch", torch.zeros(rows, dtype=torch.long))
        if self.picture is None:
            object.__setattr__(self, "picture", torch.arange(rows))

    @classmethod
    def empty(cls, rows: int) -> Condition:
        """Nothing to condition on, for `rows` pictures."""
        return cls((), torch.zeros(rows, dtype=torch.long), torch.arange(rows))

    @property
    def rows(self) -> int:
        return len(self.branch)

    def get(self, kind: type[P]) -> P | None:
        """The part of that type, or None."""
        return self._by_kind.get(kind)  # type: ignore[return-value]

    @cached_property
    def _by_kind(self) -> dict[type[Part], Part]:
        """Networks ask for each part that they know at every step."""
        return {type(part): part for part in self.parts}

    def null(self, only: type[Part] | Iterable[type[Part]] | None = None) -> Condition:
        """The condition of an unconditional branch: every part that drops replaced by its null.

        `only` limits that to some types of parts. Raises BadInput if nothing is left to drop.
        """
        return self._null if only is None else self._without(only)

    @cached_property
    def _null(self) -> Condition:
        """Guidances ask for it at every step."""
        return self._without(None)

    def _without(self, only: type[Part] | Iterable[type[Part]] | None) -> Condition:
        kinds = None if only is None else tuple(only) if isinstance(only, Iterable) else (only,)
        dropped = [part.drops and (kinds is None or isinstance(part, kinds)) for part in self.parts]
        if not any(dropped):
            held = ", ".join(type(part).__name__ for part in self.parts) or "nothing"
            raise BadInput(f"This condition has nothing to drop for an unconditional branch (it holds {held}).")
        parts = (part.null() if drop else part for part, drop in zip(self.parts, dropped, strict=True))
        return replace(self, parts=tuple(parts))

    def without(self, kind: type[Part]) -> Condition:
        """The condition without its part of that type; itself where it has none."""
        if self.get(kind) is None:
            return self
        return replace(self, parts=tuple(part for part in self.parts if not isinstance(part, kind)))

    def at(self, t: Tensor | float) -> Condition:
        """The condition at time t, for parts that change with it; itself if none does."""
        parts = tuple(part.at(t) for part in self.parts)
        return self if all(a is b for a, b in zip(parts, self.parts, strict=True)) else replace(self, parts=parts)

    def same(self, other: Condition) -> bool:
        """Whether both are made of the very same parts, not of equal ones."""
        ours, theirs = (*self.parts, self.branch, self.picture), (*other.parts, other.branch, other.picture)
        return len(ours) == len(theirs) and all(a is b for a, b in zip(ours, theirs, strict=True))

    def select(self, index: Tensor | Sequence[int]) -> Condition:
        """The rows at `index`, in that order."""
        index = torch.as_tensor(index, dtype=torch.long)
        parts = tuple(part.select(index) for part in self.parts)
        return Condition(parts, self.branch[index], self.picture[index])

    def to(self, *args: Any, **kwargs: Any) -> Condition:
        return replace(self, parts=tuple(part.to(*args, **kwargs) for part in self.parts))

    def adding(self, part: Part) -> Condition:
        """The same with `part`, in the place of one of its type if there is one."""
        others = tuple(other for other in self.parts if type(other) is not type(part))
        return replace(self, parts=(*others, part))

    @classmethod
    def cat(cls, conditions: Sequence[Condition]) -> Condition:
        """The rows of all conditions; branch i is the i-th condition's.

        They must hold the same types of parts, but for those that can be neutral.
        """
        examples = {type(part): part for condition in conditions for part in condition.parts}
        parts = []
        for kind, example in examples.items():
            rows = [condition.get(kind) or example.neutral(condition.rows) for condition in conditions]
            if any(row is None for row in rows):
                raise ValueError("Conditions of one batch must hold the same types of parts.")
            parts.append(kind.cat([row for row in rows if row is not None]))
        branch = torch.cat([torch.full_like(c.branch, i) for i, c in enumerate(conditions)])
        return cls(tuple(parts), branch, torch.cat([c.picture for c in conditions]))
