"""What every encoder of words does: prompts over the steps of a run -> the Text part of a Condition."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import torch

from sfumato.condition import ScheduledText, Text
from sfumato.emphasis import Emphasis, MeanRestored
from sfumato.encode.encoder import Asked, Encoder
from sfumato.picture import BadInput
from sfumato.recipe.capabilities import Capabilities
from sfumato.recipe.prompt import NOTHING, Parts, plan_of


class TextEncoder(Encoder):
    """An encoder of words, whatever networks read them: a subclass says what a text's embeddings are (`embed`).

    What is common is here: the unconditional branch is the negative prompt, words that change over the steps become a
    `ScheduledText`, prompts joined by AND the `others` of a text.
    """

    tells = Capabilities(text=True)
    skipped: int = 0
    """How many of its last layers are left out."""
    emphasis: Emphasis = MeanRestored()
    """What weights of words do."""

    def skipping(self, layers: int) -> TextEncoder:
        """The same encoder without its last `layers` layers. Raises BadInput where that is not done."""
        raise BadInput(
            "clip_skip leaves out layers of a CLIP, and this model's words are read by others: leave it at 1."
        )

    def weighing(self, emphasis: Emphasis) -> Self:
        """The same encoder in which weights of words do what `emphasis` says."""
        found = copy.copy(self)
        found.emphasis = emphasis
        return found

    def placed(self) -> TextEncoder:
        """The same encoder for whoever asks where words stand: it says each text once."""
        return self

    def embed(self, texts: Sequence[Parts]) -> Text:
        """The embeddings of distinct texts, a row each, in float32; all as long as the longest.

        A text is what one prompt says at one time: the (words, weight) of each part between BREAKs.
        """
        raise NotImplementedError

    def __call__(self, batch: Asked) -> Text:
        """What the recipes' prompts say, over the knots of their grid; step n begins at knot n."""
        recipes = batch.recipes
        if (skip := recipes[0].clip_skip) > 1 and not self.skipped:
            return self.skipping(skip - 1)(batch)
        if recipes[0].emphasis != self.emphasis:
            return self.weighing(recipes[0].emphasis)(batch)
        reader = self if all(recipe.attention is None for recipe in recipes) else self.placed()
        steps, rows = recipes[0].steps, range(len(recipes))
        asked = [plan_of(recipe.prompt, steps) for recipe in recipes]
        negatives = [plan_of(recipe.negative, steps, negative=True) for recipe in recipes]
        most = max(len(plan.conjuncts) for plan in asked)
        several = [[*plan.conjuncts, *[NOTHING] * (most - len(plan.conjuncts))] for plan in asked]
        firsts = sorted({first for plan in (*asked, *negatives) for first in plan.firsts})
        whole = reader.text(
            [several[row][k].at(first) for first in firsts for k in range(most) for row in rows],
            [negatives[row].conjuncts[0].at(first) for first in firsts for _ in range(most) for row in rows],
        )
        parts = [whole.select(torch.tensor(rows) + i * len(rows)) for i in range(len(firsts) * most)]
        texts = parts[::most]
        if most > 1:
            shares = torch.tensor([[conjunct.weight for conjunct in each] for each in several])
            groups = zip(texts, (parts[i + 1 : i + most] for i in range(0, len(parts), most)), strict=True)
            texts = [replace(text, others=tuple(others), shares=shares) for text, others in groups]
        if len(texts) == 1:
            return texts[0]
        times = batch.times(recipes[0].start.strength)
        return ScheduledText.of(texts, [math.inf, *(float(times[min(n, len(times) - 1)]) for n in firsts[1:])])

    def text(self, prompts: Sequence[Parts], negatives: Sequence[Parts]) -> Text:
        """A Text part of prompts and of what their unconditional branch sees; each distinct text is encoded once."""
        distinct = list(dict.fromkeys([*prompts, *negatives]))
        embedded = self.embed(distinct)

        def rows(texts: Sequence[Parts]) -> Text:
            return embedded.select(torch.tensor([distinct.index(text) for text in texts]))

        return replace(rows(prompts), negative=rows(negatives))
