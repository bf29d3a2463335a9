"""What a picture is conditioned on: typed, frozen parts in batched rows.

A `Condition` says for every row which guidance branch it serves and which picture it belongs to, so that all branches
go through the network in one call. Each part knows its own null, and whether it drops when a branch is made
unconditional: text, label and image do, planes put beside the picture do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor

from sfumato.picture import BadInput


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
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def _map(self, function: Any) -> Self:
        return replace(self, **{name: function(value) for name, value in self._tensors().items()})


@dataclass(frozen=True, eq=False)
class Text(Part):
    """An encoded prompt: embeds (B, L, D); mask (B, L), True where a token counts; pooled (B, P).

    `negative` is the text that the unconditional branch sees: the encoded negative prompt, or the empty one, with one
    row or B rows.
    """

    drops: ClassVar[bool] = True
    embeds: Tensor
    mask: Tensor | None = None
    pooled: Tensor | None = None
    negative: Text | None = None

    def __post_init__(self) -> None:
        if self.embeds.ndim != 3:
            raise ValueError(f"Text embeds have the shape (B, L, D), not {tuple(self.embeds.shape)}.")
        if self.mask is not None and self.mask.shape != self.embeds.shape[:2]:
            raise ValueError(f"The text mask {tuple(self.mask.shape)} does not fit embeds {tuple(self.embeds.shape)}.")

    def null(self) -> Text:
        if self.negative is None:
            raise BadInput("This text does not know its unconditional branch: give Text(negative=...), e.g. of ''.")
        null, rows = self.negative, self.rows
        if null.rows == 1 and rows != 1:
            null = null.select(torch.zeros(rows, dtype=torch.long, device=null.embeds.device))
        return replace(null, negative=null.negative or null)

    def select(self, index: Tensor) -> Text:
        negative = self.negative
        if negative is not None and negative.rows == self.rows and self.rows != 1:
            negative = negative.select(index)
        return replace(self._map(lambda a: a[index]), negative=negative)

    def to(self, *args: Any, **kwargs: Any) -> Text:
        negative = None if self.negative is None else self.negative.to(*args, **kwargs)
        return replace(super().to(*args, **kwargs), negative=negative)

    @classmethod
    def cat(cls, parts: Sequence[Text]) -> Text:
        """The rows of all texts. Shorter ones are padded with zeros and masked; pooled must be there in all or none."""
        length = max(part.embeds.shape[1] for part in parts)
        masked = any(part.mask is not None or part.embeds.shape[1] < length for part in parts)
        if len({part.pooled is None for part in parts}) > 1:
            raise ValueError("Texts with and without a pooled embedding cannot share a batch.")
        pooled = None if parts[0].pooled is None else torch.cat([p.pooled for p in parts if p.pooled is not None])
        negative = None
        if all(part.negative is not None for part in parts):
            nulls = [part.null() for part in parts]
            negative = cls.cat([replace(null, negative=None) for null in nulls])
        return cls(
            embeds=torch.cat([_pad(part.embeds, length) for part in parts]),
            mask=torch.cat([_pad(part._full_mask(), length) for part in parts]) if masked else None,
            pooled=pooled,
            negative=negative,
        )

    def _full_mask(self) -> Tensor:
        if self.mask is not None:
            return self.mask
        return torch.ones(self.embeds.shape[:2], dtype=torch.bool, device=self.embeds.device)


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
class Level(Part):
    """How much noise was added to a Concat's planes, as a time: value (B,). It does not drop."""

    value: Tensor


@dataclass(frozen=True, eq=False)
class Sizes(Part):
    """SDXL's sizes: values (B, 6) = original height, width, crop top, left, target height, width. They do not drop."""

    values: Tensor


@dataclass(frozen=True, eq=False)
class Attention(Part):
    """What is done to the network's attention. It does not drop, and rows that were given none are left alone.

    identity (B,), bool: in these rows self-attention is the identity in `layers` (see `guide.PerturbedAttention`).
    """

    identity: Tensor
    layers: tuple[str, ...] = ("mid",)

    def neutral(self, rows: int) -> Attention:
        return replace(self, identity=self.identity.new_zeros(rows))

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        if len({part.layers for part in parts}) > 1:
            raise BadInput("One call can't change the attention of different layers in different rows: choose one set.")
        return super().cat(parts)


@dataclass(frozen=True, eq=False)
class Injection(Part):
    """Rows in pairs, with attention maps that go from one to the other: Prompt-to-Prompt (Hertz et al. 2022).

    Two rows of one picture and one branch are a pair: the companion (`source`), told the source's words and left alone,
    and the edited row, whose cross-attention map M* and self-attention map S* (places x tokens, places x places; M and
    S are the companion's) become

        weight_j (sum_i M_i mapping_ij  if column j of mapping is not empty, else M*_j)        while t > 1 - cross_maps
        weight_j M*_j                                                                          afterwards
        S                              in layers of at most within x within places             while t > 1 - self_maps

    source (B,), bool. mapping (B, L, L): where the companion's tokens i go (see `edit.align`). weight (B, L), 1 = as it
    is. cross_maps, self_maps (B,): fractions of the time, from t = 1 on: 0 never, 1 always. `at(t)` leaves 1 or 0 of
    them; a fraction that was never asked for its time counts as 1.

    Unconditional rows hold the same words: their null maps every token to itself.
    """

    drops: ClassVar[bool] = True
    source: Tensor
    mapping: Tensor
    weight: Tensor
    cross_maps: Tensor
    self_maps: Tensor
    within: int = 16
    _known: dict[tuple[bool, ...], Injection] = field(init=False, repr=False, default_factory=dict)

    def null(self) -> Injection:
        same = torch.eye(self.mapping.shape[-1]).to(self.mapping).expand_as(self.mapping)
        return replace(self, mapping=same, weight=torch.ones_like(self.weight))

    def neutral(self, rows: int) -> Injection:
        tokens = self.mapping.shape[-1]
        off = self.cross_maps.new_zeros(rows)
        mapping, weight = self.mapping.new_zeros(rows, tokens, tokens), self.weight.new_ones(rows, tokens)
        source = self.source.new_zeros(rows)
        return replace(self, source=source, mapping=mapping, weight=weight, cross_maps=off, self_maps=off)

    def at(self, t: Tensor | float) -> Injection:
        """One and the same part for all times at which the same maps are injected, so that nothing is built anew."""
        t = torch.as_tensor(t).to(self.cross_maps)
        fractions = self.cross_maps, self.self_maps
        cross, own = ((t > 1 - fraction + 1e-6).to(fraction) for fraction in fractions)
        if torch.equal(cross, self.cross_maps) and torch.equal(own, self.self_maps):
            return self
        key = (*cross.bool().tolist(), *own.bool().tolist())
        if key not in self._known:
            self._known[key] = replace(self, cross_maps=cross, self_maps=own)
        return self._known[key]


@dataclass(frozen=True, eq=False)
class Watched(Part):
    """Rows whose cross-attention maps are shown while the network works: eye(slots (R,), maps (R, places, L)).

    Once a call and layer, as the layer uses them, averaged over its heads. slot (B,), LongTensor: a number of the row's
    own, -1 for rows that are not watched. Only the first branch is: what others attend to is not what is painted.
    """

    slot: Tensor
    eye: Callable[[Tensor, Tensor], None]

    def neutral(self, rows: int) -> Watched:
        return replace(self, slot=self.slot.new_full((rows,), -1))


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
        return next((part for part in self.parts if type(part) is kind), None)

    def null(self, only: type[Part] | Iterable[type[Part]] | None = None) -> Condition:
        """The condition of an unconditional branch: every part that drops replaced by its null.

        `only` limits that to some types of parts. Raises BadInput if nothing is left to drop.
        """
        kinds = None if only is None else tuple(only) if isinstance(only, Iterable) else (only,)
        dropped = [part.drops and (kinds is None or isinstance(part, kinds)) for part in self.parts]
        if not any(dropped):
            held = ", ".join(type(part).__name__ for part in self.parts) or "nothing"
            raise BadInput(f"This condition has nothing to drop for an unconditional branch (it holds {held}).")
        parts = (part.null() if drop else part for part, drop in zip(self.parts, dropped, strict=True))
        return replace(self, parts=tuple(parts))

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


def _pad(a: Tensor, length: int) -> Tensor:
    if a.shape[1] == length:
        return a
    return torch.cat([a, a.new_zeros(a.shape[0], length - a.shape[1], *a.shape[2:])], dim=1)


def _move(a: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`Tensor.to` without the change of dtype."""
    return a.to(*args, **kwargs).to(a.dtype)
