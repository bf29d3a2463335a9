"""A region and its words, and what every method of regional prompting is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from sfumato.condition import Condition
from sfumato.element import Element, Fractions, KeptMask, Real, element
from sfumato.lazy import Tensor, torch

_BOX = "four fractions (left, top, right, bottom) of the picture with 0 <= left < right <= 1 and 0 <= top < bottom <= 1"


@element
class Region:
    """Words that hold in a part of the picture.

    prompt: in the same grammar as a recipe's. mask: white where it holds, grey where it is blended with what holds
    around. box: instead of a mask, (left, top, right, bottom) as fractions of the picture. weight: its share of what is
    said there; the rest is the recipe's own prompt's.
    """

    prompt: str = Field(max_length=20_000, description="text of at most 20,000 characters")
    mask: KeptMask | None = Field(default=None, description="a picture, white where the words hold, or nothing")
    box: Fractions | None = Field(default=None, description=_BOX)
    weight: Real = Field(default=1.0, ge=0, le=1, description="a number from 0 (off) to 1")

    @model_validator(mode="after")
    def _lies_somewhere(self) -> Self:
        if (self.mask is None) == (self.box is None):
            raise ValueError("a region lies where its mask is white or in its box: give one of the two")
        if self.box is not None:
            left, top, right, bottom = self.box
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise ValueError(f"box must be {_BOX}")
        return self


class Regional(Element, kinds="regional method", package="sfumato.region"):
    """How regions are painted: what the conditions of their words make of the general condition.

    Each region has words and a mask. They may share one network call, where attention is divided among them, or be
    predicted apart and mixed by their masks (MultiDiffusion, Bar-Tal et al. 2023); each is a class of this registry.
    """

    by_network: ClassVar[bool] = False
    """Whether the network was trained to be told of regions: an encoder reads them then, and nothing else."""

    def apply(self, condition: Condition, others: Sequence[Condition], shares: Tensor) -> Condition:
        """The condition of the same rows in which each of K `others` holds in its region. shares (1, 1 + K, h, w): the
        general condition's share of each cell, and those of the others; they add up to 1."""
        raise NotImplementedError


def told_by_region(batch: Any, condition: Condition, recipes: Sequence[Any]) -> Condition:
    """The condition of `recipes` with the words of their regions; itself where no region says anything else.

    batch: a `sfumato.model.Batch`. The recipes differ in their seeds and their negative prompts alone.
    """
    recipe = recipes[0]
    shares = shares_of(batch, recipe.regions)
    shares.pop(recipe.prompt, None)
    if not shares or recipe.regional.by_network:
        return condition
    others = [
        batch.stage.condition(batch.told([replace(each, prompt=said, regions=()) for each in recipes]))
        for said in shares
    ]
    left = (1 - sum(shares.values())).clamp(min=0)  # type: ignore[union-attr]
    maps = torch.stack([left, *shares.values()])
    cells = torch.nn.functional.interpolate(maps[None], batch.like.shape[-2:], mode="area")
    return recipe.regional.apply(condition, others, cells.to(batch.device))


def shares_of(batch: Any, regions: Sequence[Region]) -> dict[str, Tensor]:
    """What share of each pixel (H, W) words have, in [0, 1]; regions that say the same are one, those that hold nowhere
    none.

    Region k of weight w_k with the mask m_k has w_k m_k / max(1, sum w m), so that regions that overlap divide what
    they have in common; what is left is for what is said of the whole.
    """
    masks = [region.weight * mask_of(batch, region) for region in regions]
    found: dict[str, Tensor] = {}
    for region, mask in zip(regions, masks, strict=True):
        share = mask / sum(masks).clamp(min=1)  # type: ignore[union-attr]
        if bool(share.any()):
            found[region.prompt] = found[region.prompt] + share if region.prompt in found else share
    return found


def mask_of(batch: Any, region: Region) -> Tensor:
    """Where a region lies in the run's picture, (H, W) in [0, 1]; a pixel at the edge of a box counts in part."""
    if region.mask is not None:
        return batch.control_mask(region.mask)[0, 0].cpu()
    left, top, right, bottom = region.box  # type: ignore[misc]
    width, height = batch.size
    shown = batch.shown_box  # the part of the whole picture that the run sees
    columns, rows = (
        _covered(first, last, low, high, count)
        for first, last, low, high, count in (
            (left, right, shown[0], shown[2], width),
            (top, bottom, shown[1], shown[3], height),
        )
    )
    return rows[:, None] * columns[None, :]


def _covered(first: float, last: float, low: float, high: float, count: int) -> Tensor:
    """How much of each of `count` equal pieces of [low, high] lies in [first, last]."""
    edges = torch.linspace(low, high, count + 1, dtype=torch.float64)
    inside = edges.clamp(first, last).diff() / edges.diff()
    return inside.clamp(0, 1).float()
