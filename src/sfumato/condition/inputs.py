"""What a network is told besides words: a class, pictures, planes beside its own, levels, sizes, a guidance scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sfumato.condition.part import Part
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput


@dataclass(frozen=True, eq=False)
class Label(Part):
    """A class index a row: ids (B,), LongTensor; `none` is the index that means "no class", None if there is none."""

    drops: ClassVar[bool] = True
    ids: Tensor
    none: int | None

    def null(self) -> Label:
        if self.none is None:
            raise BadInput("This network was trained without an index for no class: it has no unconditional branch.")
        return replace(self, ids=torch.full_like(self.ids, self.none))


@dataclass(frozen=True, eq=False)
class Image(Part):
    """An encoded picture as tokens: embeds (B, L, D). Its null is `empty` (1 or B rows), or zeros."""

    drops: ClassVar[bool] = True
    embeds: Tensor
    empty: Tensor | None = None

    def null(self) -> Image:
        null = torch.zeros_like(self.embeds) if self.empty is None else self.empty.expand_as(self.embeds)
        return replace(self, embeds=null)

    def __post_init__(self) -> None:
        if self.empty is not None and len(self.empty) == 1 != len(self.embeds):
            object.__setattr__(self, "empty", self.empty.expand_as(self.embeds))


@dataclass(frozen=True, eq=False)
class Concat(Part):
    """Planes put beside the noisy picture as further channels: planes (B, C, H, W). They do not drop."""

    planes: Tensor


@dataclass(frozen=True, eq=False)
class Layout(Part):
    """What lies where: planes (B, C, h, w) of the cells of x, beside it as further channels. Zeros say nothing, cell by
    cell; its null says nothing anywhere."""

    drops: ClassVar[bool] = True
    planes: Tensor

    def null(self) -> Layout:
        return replace(self, planes=torch.zeros_like(self.planes))

    def neutral(self, rows: int) -> Layout:
        return replace(self, planes=self.planes.new_zeros(rows, *self.planes.shape[1:]))


@dataclass(frozen=True, eq=False)
class Level(Part):
    """How much noise was added to a Concat's planes, as a time: value (B,). It does not drop."""

    value: Tensor


@dataclass(frozen=True, eq=False)
class Sizes(Part):
    """SDXL's sizes (Podell et al. 2023, section 2.2): values (B, 6) = original height, width, crop top, left, target
    height, width; its refiner's are (B, 5), with an aesthetic score for the target. They drop only where an
    unconditional branch is told others: `unconditional` (B, the same)."""

    values: Tensor
    unconditional: Tensor | None = None

    @property
    def drops(self) -> bool:  # type: ignore[override]
        return self.unconditional is not None

    def null(self) -> Sizes:
        return self if self.unconditional is None else replace(self, values=self.unconditional)


@dataclass(frozen=True, eq=False)
class GuidanceScale(Part):
    """The scale of a guidance that was distilled into the network, which is told it (Meng et al. 2023): value (B,).

    It does not drop.
    """

    value: Tensor


@dataclass(frozen=True, eq=False)
class References(Part):
    """Pictures that a network looks at while it paints, each in the space that it diffuses in: a tuple of tensors
    (B, C, h_i, w_i), which need not be of x's size. They do not drop."""

    pictures: tuple[Tensor, ...]

    @property
    def rows(self) -> int:
        return len(self.pictures[0])

    @classmethod
    def cat(cls, parts: Sequence[References]) -> References:  # type: ignore[override]
        return cls(tuple(torch.cat(same) for same in zip(*(part.pictures for part in parts), strict=True)))

    def _map(self, function: Any) -> References:
        return replace(self, pictures=tuple(map(function, self.pictures)))
