from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from sfumato.condition import Concat, Condition, Image, Label, Level, Part, Sizes, Text
from sfumato.picture import BadInput


def text(rows: int = 2, length: int = 5, *, negative_rows: int | None = 1, pooled: bool = False) -> Text:
    negative = None if negative_rows is None else text(negative_rows, length, negative_rows=None, pooled=pooled)
    return Text(torch.randn(rows, length, 3), pooled=torch.randn(rows, 4) if pooled else None, negative=negative)


def test_rows_know_their_branch_and_picture():
    condition = Condition((text(),))
    both = Condition.cat([condition, condition.null(), condition.null()])
    assert both.rows == 6
    assert both.branch.tolist() == [0, 0, 1, 1, 2, 2]
    assert both.picture.tolist() == [0, 1, 0, 1, 0, 1]


def test_a_negative_prompt_replaces_the_unconditional_branch():
    part = text(3, negative_rows=1, pooled=True)
    assert part.negative is not None
    null = Condition((part,)).null().get(Text)
    assert null is not None
    assert torch.equal(null.embeds, part.negative.embeds.expand(3, -1, -1))
    assert null.pooled is not None
    assert part.negative.pooled is not None
    assert torch.equal(null.pooled, part.negative.pooled.expand(3, -1))
    each = text(2, negative_rows=2)
    assert each.negative is not None
    assert torch.equal(each.null().embeds, each.negative.embeds)


def test_each_part_knows_whether_it_drops():
    planes, sizes = torch.randn(2, 5, 4, 4), torch.randn(2, 6)
    condition = Condition(
        (
            text(),
            Label(torch.tensor([3, 4]), none=10),
            Image(torch.ones(2, 1, 3)),
            Concat(planes),
            Level(torch.tensor([0.1, 0.2])),
            Sizes(sizes),
        )
    )
    null = condition.null()
    assert null.get(Label).ids.tolist() == [10, 10]  # type: ignore[union-attr]
    assert null.get(Image).embeds.abs().sum() == 0  # type: ignore[union-attr]
    for kind in (Concat, Level, Sizes):
        assert null.get(kind) is condition.get(kind)
    only = condition.null(only=Label)
    assert only.get(Text) is condition.get(Text)
    assert only.get(Label).ids.tolist() == [10, 10]  # type: ignore[union-attr]
    assert condition.null(only=[Text, Image]).get(Label) is condition.get(Label)


def test_an_image_may_have_its_own_null():
    empty = torch.full((1, 2, 3), 7.0)
    part = Image(torch.randn(4, 2, 3), empty)
    assert (part.null().embeds == 7).all()
    assert (part.select(torch.tensor([1, 3])).null().embeds == 7).all()


def test_nothing_to_drop_is_refused_by_name():
    with pytest.raises(BadInput, match=r"nothing to drop .*Concat"):
        Condition((Concat(torch.zeros(1, 1, 2, 2)),)).null()
    with pytest.raises(BadInput, match="it holds nothing"):
        Condition.empty(2).null()
    with pytest.raises(BadInput, match="negative="):
        Condition((text(negative_rows=None),)).null()


def test_texts_of_different_lengths_are_padded_and_masked():
    short, long = text(1, 3), text(2, 5)
    both = Text.cat([short, long])
    assert both.embeds.shape == (3, 5, 3)
    assert both.mask is not None
    assert both.mask.tolist() == [[True] * 3 + [False] * 2, [True] * 5, [True] * 5]
    assert torch.equal(both.embeds[:1, :3], short.embeds)
    assert (both.embeds[0, 3:] == 0).all()
    null = both.null()
    assert null.mask is not None
    assert null.mask[0].tolist() == [True] * 3 + [False] * 2
    same = Text.cat([long, long])
    assert same.mask is None


def test_pooled_in_all_or_none():
    with pytest.raises(ValueError, match="pooled"):
        Text.cat([text(pooled=True), text()])


def test_select_takes_rows_of_everything():
    condition = Condition((text(3, negative_rows=3), Label(torch.tensor([5, 6, 7]), none=0)))
    chosen = condition.select([2, 0])
    part, whole = chosen.get(Text), condition.get(Text)
    assert part is not None
    assert whole is not None
    assert torch.equal(part.embeds, whole.embeds[[2, 0]])
    assert torch.equal(part.null().embeds, whole.null().embeds[[2, 0]])
    assert chosen.picture.tolist() == [2, 0]
    assert chosen.get(Label).ids.tolist() == [7, 5]  # type: ignore[union-attr]


def test_to_casts_numbers_but_not_ids_and_masks():
    part = replace(text(), mask=torch.ones(2, 5, dtype=torch.bool))
    condition = Condition((part, Label(torch.tensor([1, 2]), none=0))).to(torch.bfloat16)
    cast = condition.get(Text)
    assert cast is not None
    assert cast.embeds.dtype == cast.null().embeds.dtype == torch.bfloat16
    assert cast.mask is not None
    assert cast.mask.dtype == torch.bool
    assert condition.get(Label).ids.dtype == torch.long  # type: ignore[union-attr]


@dataclass(frozen=True, eq=False)
class Fading(Part):
    drops: ClassVar[bool] = False
    weight: Tensor

    def at(self, t):
        return replace(self, weight=self.weight * t)


def test_parts_may_change_with_time():
    still = Condition((text(),))
    assert still.at(0.5) is still
    fading = Condition((Fading(torch.ones(2)),))
    assert fading.at(0.5).get(Fading).weight.tolist() == [0.5, 0.5]  # type: ignore[union-attr]


def test_ill_formed_conditions_are_refused():
    with pytest.raises(ValueError, match="differ in rows"):
        Condition((text(2), Label(torch.tensor([1]), none=0)))
    with pytest.raises(ValueError, match="one part of each type"):
        Condition((text(), text()))
    with pytest.raises(ValueError, match=r"Condition\.empty"):
        Condition(())
    with pytest.raises(ValueError, match="same types"):
        Condition.cat([Condition((text(),)), Condition.empty(2)])
    with pytest.raises(ValueError, match=r"\(B, L, D\)"):
        Text(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="does not fit"):
        Text(torch.zeros(2, 3, 4), mask=torch.ones(2, 5, dtype=torch.bool))
