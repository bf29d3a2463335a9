"""What a prompt asks for over the steps of a run: one parse of the whole grammar, as a frozen value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt.conjunction import conjuncts
from sfumato.recipe.prompt.emphasis import Parts, parse, said
from sfumato.recipe.prompt.foreign import refuse_foreign
from sfumato.recipe.prompt.schedule import changes, periods


@dataclass(frozen=True)
class Period:
    """What is said from step `first` on: the (text, weight) of each part between BREAKs, in order."""

    first: int
    parts: Parts


@dataclass(frozen=True)
class Conjunct:
    """One of the prompts that AND joins: its weight, and what it says in the course of the steps."""

    weight: float
    periods: tuple[Period, ...]

    def at(self, step: int) -> Parts:
        """What it says at a step."""
        return next(period.parts for period in reversed(self.periods) if period.first <= step)


NOTHING = Conjunct(0.0, (Period(0, ((),)),))
"""A prompt that asks for nothing: what fills up those that are joined of fewer than others."""


@dataclass(frozen=True)
class PromptPlan:
    """A prompt over so many `steps`: one `Conjunct`, or several where AND joins prompts.

    changing: whether its words may change from step to step.
    """

    prompt: str
    steps: int
    conjuncts: tuple[Conjunct, ...]
    changing: bool = False

    @property
    def firsts(self) -> tuple[int, ...]:
        """The steps at which any of it comes to say something else, the first of them 0."""
        return tuple(sorted({period.first for each in self.conjuncts for period in each.periods}))

    @property
    def texts(self) -> tuple[Parts, ...]:
        """Everything that it says at any time."""
        return tuple(period.parts for each in self.conjuncts for period in each.periods)

    @property
    def caption(self) -> str:
        """The words of the last step without their weights, for readers that know no grammar: those of all prompts
        that are asked for, joined by "and"."""
        asked = [each for each in self.conjuncts if each.weight > 0] or list(self.conjuncts)
        return " and ".join(filter(None, (said(each.at(self.steps - 1)) for each in asked)))


@lru_cache(maxsize=4096)
def plan_of(prompt: str, steps: int = 1, *, negative: bool = False) -> PromptPlan:
    """The plan of a prompt over so many steps. A negative one is not joined of several: there AND is a word.

    Raises `BadInput` for weights beyond 100, for more than 16 joined prompts, 100 different texts or 100 brackets
    within one another, and for what other tools write in prompts.
    """
    refuse_foreign(prompt)
    joined = tuple(
        Conjunct(weight, tuple(Period(first, parse(words)) for first, words in periods(text, steps)))
        for text, weight in ([(prompt, 1.0)] if negative else conjuncts(prompt))
    )
    return PromptPlan(prompt, steps, joined, changes(prompt))


def check_single(prompts: Iterable[str], what: str) -> None:
    """Raises BadInput, which says `what` can't follow, where one changes over the steps or is several."""
    for prompt in prompts:
        read = plan_of(prompt)
        if len(read.conjuncts) > 1:
            found, instead = "joins prompts by AND", "give one prompt, or write A\\ND for the word"
        elif read.changing:
            found = "changes over the steps"
            instead = (
                "write it without [from:to:when] and [one|other], or escape brackets that are meant as such: \\[ \\]"
            )
        else:
            continue
        raise BadInput(f"{printable(repr(prompt), 60)} {found}, and {what}: {instead}.")
