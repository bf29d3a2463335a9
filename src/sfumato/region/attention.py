"""Regional prompts by cross-attention: each cell reads the words of its region, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sfumato.condition import AttendedRegions, Condition, Text
from sfumato.condition.text import side_by_side
from sfumato.element import element
from sfumato.lazy import Tensor
from sfumato.picture import BadInput
from sfumato.region.region import Regional


@element("attention")
class RegionalAttention(Regional):
    """Z = sum_k share_k Attn(Q, K_k, V_k): in every layer of cross-attention a place attends to the text of each region
    by itself, and what it finds counts by the region's share of the place. With hard masks it is attention to all texts
    at once in which the logits of a text are -inf outside its region.

    Tools call it attention coupling, or regional prompting. One call of the network answers all regions, and everything
    else (self-attention, convolutions) sees the whole picture, so that regions grow together. It is for networks that
    read words by cross-attention.
    """

    def apply(self, condition: Condition, others: Sequence[Condition], shares: Tensor) -> Condition:
        texts = [next((p for p in each.parts if isinstance(p, Text)), None) for each in (condition, *others)]
        if any(text is None or text.others for text in texts):
            raise BadInput(
                "Regions by attention are for words that are said at once: write prompts without AND, or give "
                "regional='mixing'."
            )
        said = [text for text in texts if text is not None]
        lengths = tuple(text.embeds.shape[1] for text in said)
        part = AttendedRegions(shares.expand(condition.rows, -1, -1, -1), lengths)
        besides = tuple(each for each in condition.parts if each is not said[0])
        return replace(condition, parts=(*besides, side_by_side(said), part))
