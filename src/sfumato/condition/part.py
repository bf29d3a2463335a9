"""One kind of condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from sfumato.lazy import Tensor, torch


@dataclass(frozen=True, eq=False)
class Part:
    """One kind of condition for B rows: every tensor field has B rows.

    A subclass that drops says what its null is. A part that changes with time overrides `at`.
    """

    drops: ClassVar[bool] = False

    @property
    def rows(self) -> int:
        return len(next(iter(self._tensors().values())))

    def null(self) -> Self:
        """The part as an unconditional branch sees it: itself, unless it drops."""
        return self

    def neutral(self, rows: int) -> Self | None:
        """What this part is to `rows` rows that were given none; None if there is nothing that does nothing."""
        return None

    def at(self, t: Tensor | float) -> Self:
        """The part at time t."""
        return self

    def select(self, index: Tensor) -> Self:
        """The rows at `index` (LongTensor)."""
        return self._map(lambda a: a[index])

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moved or cast as `Tensor.to` does; whole numbers and masks keep their dtype."""
        return self._map(lambda a: a.to(*args, **kwargs) if a.is_floating_point() else _move(a, *args, **kwargs))

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, one after the other."""
        names = parts[0]._tensors().keys()
        return replace(parts[0], **{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def _tensors(self) -> dict[str, Tensor]:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}

    def _map(self, function: Any) -> Self:
        return replace(self, **{name: function(value) for name, value in self._tensors().items()})


def _move(a: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`Tensor.to` without the change of dtype."""
    return a.to(*args, **kwargs).to(a.dtype)
