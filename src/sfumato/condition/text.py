"""Encoded words, and words that change with time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sfumato.condition.part import Part
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput


@dataclass(frozen=True, eq=False)
class Text(Part):
    """An encoded prompt: embeds (B, L, D); mask (B, L), True where a token counts; pooled (B, P).

    `negative` is the text that the unconditional branch sees: the encoded negative prompt, or the empty one, with one
    row or B rows. `others` are K texts of B rows that ask for something too, each with its share of the whole: shares
    (B, 1 + K), the first of them this text's own (see `guide.conjunction`). A network is told one text at a time.
    """

    drops: ClassVar[bool] = True
    embeds: Tensor
    mask: Tensor | None = None
    pooled: Tensor | None = None
    negative: Text | None = None
    others: tuple[Text, ...] = ()
    shares: Tensor | None = None

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
        others = tuple(text.select(index) for text in self.others)
        return replace(self._map(lambda a: a[index]), negative=negative, others=others)

    def to(self, *args: Any, **kwargs: Any) -> Text:
        negative = None if self.negative is None else self.negative.to(*args, **kwargs)
        others = tuple(text.to(*args, **kwargs) for text in self.others)
        return replace(super().to(*args, **kwargs), negative=negative, others=others)

    @classmethod
    def cat(cls, parts: Sequence[Text]) -> Text:
        """The rows of all texts. Shorter ones are padded with zeros and masked; pooled must be there in all or none."""
        if any(part.others for part in parts):
            raise ValueError("Texts that are joined of several can't share a batch: take them apart first.")
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
class ScheduledText(Text):
    """A text that changes with time: at t, () or (B,), the last of `texts` whose time in `begins` is not below t.

    texts: K of them, of B rows each, the first of which is also what the part is without a time. begins: K times that
    fall, the first of them infinite. `at` gives one and the same `Text` for all times of a period.
    """

    texts: tuple[Text, ...] = ()
    begins: tuple[float, ...] = ()

    @classmethod
    def of(cls, texts: Sequence[Text], begins: Sequence[float]) -> Text:
        """The texts, each from its time on; a plain one if there is but one."""
        first, *others = texts
        return cls(**vars(first), texts=tuple(texts), begins=tuple(begins)) if others else first

    def at(self, t: Tensor | float) -> Text:  # type: ignore[override]
        periods = [sum(time <= begin for begin in self.begins) - 1 for time in torch.as_tensor(t).reshape(-1).tolist()]
        if len(set(periods)) == 1:
            return self.texts[periods[0]]
        return _joined([self.texts[k].select(torch.tensor([row])) for row, k in enumerate(periods)])

    def select(self, index: Tensor) -> Text:
        return ScheduledText.of([text.select(index) for text in self.texts], self.begins)

    def to(self, *args: Any, **kwargs: Any) -> Text:
        return ScheduledText.of([text.to(*args, **kwargs) for text in self.texts], self.begins)

    @classmethod
    def cat(cls, parts: Sequence[ScheduledText]) -> Text:  # type: ignore[override]
        """Texts that change at the same times."""
        periods = zip(*(part.texts for part in parts), strict=True)
        return cls.of([Text.cat(texts) for texts in periods], parts[0].begins)


def _joined(rows: Sequence[Text]) -> Text:
    """Rows of which each may be joined of as many texts as the others."""
    whole = Text.cat([replace(row, others=(), shares=None) for row in rows])
    others = zip(*(row.others for row in rows), strict=True)
    shares = [row.shares for row in rows if row.shares is not None]
    return replace(whole, others=tuple(map(_joined, others)), shares=torch.cat(shares) if shares else None)


def side_by_side(texts: Sequence[Text]) -> Text:
    """Texts of the same rows with their tokens behind one another. What is said as a whole (`pooled`) and what the
    unconditional branch sees are the first's. It changes with time whenever one of them does."""
    begins = sorted({begin for text in texts if isinstance(text, ScheduledText) for begin in text.begins}, reverse=True)
    if begins:
        return ScheduledText.of([side_by_side([text.at(begin) for text in texts]) for begin in begins], begins)
    masks = [text._full_mask() for text in texts] if any(text.mask is not None for text in texts) else None
    embeds = torch.cat([text.embeds for text in texts], 1)
    return replace(texts[0], embeds=embeds, mask=None if masks is None else torch.cat(masks, 1))


def _pad(a: Tensor, length: int) -> Tensor:
    if a.shape[1] == length:
        return a
    return torch.cat([a, a.new_zeros(a.shape[0], length - a.shape[1], *a.shape[2:])], dim=1)
