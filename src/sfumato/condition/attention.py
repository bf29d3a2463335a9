"""What is done to a network's attention, and who watches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from sfumato.condition.part import Part
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput


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
