"""Prompt-to-Prompt: Hertz et al. 2022. What the source's words painted where, the target's words paint there too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import Field

from sfumato.condition import Condition, Injection, Text, Watched
from sfumato.denoise import Bound, bind
from sfumato.edit.alignment import Words, align
from sfumato.edit.attention_edit import AttentionEdit
from sfumato.edit.attention_maps import AttentionMaps
from sfumato.edit.hold import BoundHold
from sfumato.edit.start import BoundStart
from sfumato.element import Listed, Real, Whole, element
from sfumato.guide import Guided
from sfumato.lazy import Tensor, torch
from sfumato.noise import Key, NoiseSource
from sfumato.picture import BadInput
from sfumato.picture.errors import printable
from sfumato.sample import Sampler, Step, trajectory
from sfumato.sample.step import Denoise

BEGIN = 0.8  # local blend waits until here: the first maps are those of noise


@element("prompt-to-prompt")
class PromptToPrompt(AttentionEdit):
    """Prompt-to-Prompt (Hertz et al. 2022): the recipe's prompt edits the picture that `source` makes.

    That picture is made in the same run, from the same start and noise, and its attention maps are injected: where a
    word of `source` stays or is swapped for another, the new picture attends as the source did, while t > 1 -
    `cross_maps`; where what is alike is looked for (self-attention, in layers of at most `within` x `within` places),
    while t > 1 - `self_maps`. Words that are added keep maps of their own. Larger fractions keep more of the source.
    The weights of the recipe's prompt, as in "a (red:1.6) hat", scale its words' maps and not their embeddings.

    `blend` names words of either prompt: outside the places where their maps exceed `threshold` of their maximum, the
    picture is the source's own: of an inverted one its very bytes, unless `composite` is "none". With both fractions 0
    and no `blend` nothing is edited: the prompt is painted as it is.
    """

    source: str = Field(max_length=20_000, description="the prompt of the picture to edit")
    cross_maps: Real = Field(default=0.8, ge=0, le=1, description="a fraction of the time from 0 (never) to 1 (always)")
    self_maps: Real = Field(default=0.4, ge=0, le=1, description="a fraction of the time from 0 (never) to 1 (always)")
    blend: Listed[str] = Field(default=(), max_length=64, description="a list of words, as ['hat']")
    threshold: Real = Field(default=0.3, gt=0, lt=1, description="a number between 0 and 1")
    within: Whole = Field(default=16, ge=1, le=4096, description="a whole number from 1 to 4096")

    @property
    def neutral(self) -> bool:
        """Whether it changes nothing."""
        return not (self.cross_maps or self.self_maps or self.blend)

    @property
    def wordless(self) -> PromptToPrompt:
        """The same for any words: what the pictures of one batch have in common."""
        return replace(self, source="", blend=("",) * len(self.blend))

    def bind(self, batch: Any, guidances: Sequence[Any], start: BoundStart) -> Paired:
        """The denoiser of the batch's pictures and then of their companions, and the loop that walks both.

        The guidances are of both, in that order. Companions of an inverted picture are that picture.
        """
        if not batch.stage.capabilities.text:
            raise BadInput(
                "This model reads no words, and Prompt-to-Prompt needs two prompts: leave the attention out."
            )
        both = [*batch.recipes, *batch.companions]
        said = (words for r in both for words in (r.prompt, r.negative))
        batch.check_single(said, "Prompt-to-Prompt needs words that stand still")
        condition = batch.condition([*batch.unweighted, *batch.companions])
        text = condition.get(Text)
        assert text is not None
        length = text.embeds.shape[1]
        target = [batch.stage.words(recipe.prompt) for recipe in batch.recipes]
        source = [batch.stage.words(recipe.prompt) for recipe in batch.companions]
        if None in (*target, *source):
            raise BadInput(
                "This model's text encoder does not say where words stand, and Prompt-to-Prompt needs it: leave the "
                "attention out."
            )
        blend = _blend([r.attention for r in batch.recipes], [*target, *source], length, batch.stage.words)
        directive = injection(source, target, length, self.cross_maps, self.self_maps, self.within)
        condition = coupled(condition, directive, blend)
        loop = partial(side_by_side, blend=blend, path=start.path)
        keeps = blend is not None and start.path is not None
        return Paired(bind(Guided(batch.stage.denoiser, guidances), condition), loop, blend if keeps else None)


@dataclass(frozen=True)
class Paired:
    """Prompt-to-Prompt in a run: the denoiser of both halves, the loop that walks them, and the blend whose mask says
    afterwards where the picture is not its own (None where all of it may have changed)."""

    denoise: Bound
    loop: Callable[..., Iterator[Step]]
    blend: LocalBlend | None


@dataclass(frozen=True, eq=False)
class LocalBlend:
    """Outside the mask of some words, the edited rows are their companions (Hertz et al. 2022, section 4).

    The mask is where a word's map, in the target's row or in the source's, is more than `threshold` of its largest
    value: averaged over heads, layers and calls so far, and grown by one place. words (2B, W, L) marks the words'
    tokens in the B edited rows and then in their companions; a row may lack a word. From t = 0.8 down.
    """

    words: Tensor
    threshold: float = 0.3
    maps: AttentionMaps = field(default_factory=AttentionMaps)

    def mask(self, size: tuple[int, int]) -> Tensor:
        """(B, 1, *size), True where the edited row is its own."""
        maps = torch.nn.functional.max_pool2d(self.maps.of(self.words, size), 3, 1, 1)
        maps = torch.nn.functional.interpolate(maps, size, mode="bilinear")
        largest = maps.amax((2, 3), keepdim=True)
        edited, source = (maps > self.threshold * largest).any(1, keepdim=True).chunk(2)
        return edited | source

    def __call__(self, x: Tensor, s: Tensor) -> Tensor:
        """x (2B, C, h, w) at time s, blended."""
        if s > BEGIN:
            return x
        edited, source = x.chunk(2)
        height, width = x.shape[-2:]
        return torch.cat([torch.where(self.mask((height, width)).to(x.device), edited, source), source])


def injection(
    source: Sequence[Words],
    target: Sequence[Words],
    length: int,
    cross_maps: float = 0.8,
    self_maps: float = 0.4,
    within: int = 16,
) -> Injection:
    """The directive of B edited rows and then their companions, for texts of `length` places.

    cross_maps, self_maps: the fractions of the time, from t = 1 on, in which the companions' cross-attention and
    self-attention maps are injected: while t > 1 - fraction. The weights of the target's words act at all times.
    """
    rows = len(target)
    mapping = torch.stack([align(*pair, length) for pair in zip(source, target, strict=True)])
    weight = torch.stack([words.weight(length) for words in target])
    both = torch.arange(2 * rows)
    return Injection(
        source=both >= rows,
        mapping=torch.cat([mapping, mapping]),
        weight=torch.cat([weight, torch.ones_like(weight)]),
        cross_maps=torch.full((2 * rows,), cross_maps),
        self_maps=torch.full((2 * rows,), self_maps),
        within=within,
    )


def coupled(condition: Condition, injection: Injection, blend: LocalBlend | None = None) -> Condition:
    """The condition of B edited rows and then of their companions, made pairs: rows b and B + b are of one picture."""
    rows = condition.rows // 2
    pairs = replace(condition, picture=torch.cat([condition.picture[:rows]] * 2)).adding(injection)
    if blend is None:
        return pairs
    return pairs.adding(Watched(torch.arange(2 * rows), blend.maps))


def side_by_side(
    denoise: Denoise,
    sampler: Sampler,
    x: Tensor,
    times: Tensor,
    noise: NoiseSource,
    hold: BoundHold | None = None,
    blend: LocalBlend | None = None,
    path: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Step]:
    """The `trajectory` of x (B, ...) twice in one batch, with the same noise; the steps of the edited rows alone.

    denoise: bound to a `coupled` condition of 2B rows. The companions run as the source's words alone would, with the
    same start, hold and noise, and are dropped. hold: bound for B rows; it acts on each half. Where nothing is injected
    both halves are what `trajectory` gives. A sampler that chooses each row's steps by itself (rk45) asks for both rows
    of a pair at once, but between knots not always at the same time.

    path: what the companions are at time s, (B, ...). An inverted picture's own path keeps them at the picture itself,
    from which guidance would lead them off (Ju et al. 2023, "Direct inversion").
    """
    rows = len(x)

    def held(both: Tensor, s: Tensor, noise: NoiseSource) -> Tensor:
        assert isinstance(noise, Twice)
        if hold is not None:
            both = torch.cat([hold(half, s, noise.source) for half in both.chunk(2)])
        if path is not None:
            both = torch.cat([both[:rows], path(s).to(both)])
        return both if blend is None else blend(both, s)

    for step in trajectory(denoise, sampler, torch.cat([x, x]), times, Twice(noise), held):
        seen = None if step.prediction is None else step.prediction.select(slice(rows))
        yield replace(step, x=step.x[:rows], prediction=seen)


@dataclass(frozen=True)
class Twice:
    """The same noise for both halves of a batch."""

    source: NoiseSource

    def __call__(self, like: Tensor, *key: Key) -> Tensor:
        half = self.source(like[: len(like) // 2], *key)
        return torch.cat([half, half])

    def at(self, *key: Key) -> Twice:
        return Twice(self.source.at(*key))


def marked(words: Words, phrases: Sequence[Words], length: int) -> Tensor:
    """(number of phrases, length): 1 at the tokens of each phrase, wherever it occurs."""
    marks = torch.zeros(len(phrases), length)
    for row, phrase in zip(marks, phrases, strict=True):
        row[list(words.find(phrase.words))] = 1
    return marks


def _blend(
    elements: Sequence[PromptToPrompt], prompts: Sequence[Words], length: int, words_of: Callable[[str], Words]
) -> LocalBlend | None:
    if not elements[0].blend:
        return None
    rows = len(elements)
    phrases = [[words_of(phrase) for phrase in each.blend] for each in elements]
    marks = [marked(words, phrases[row % rows], length) for row, words in enumerate(prompts)]
    for row, here in enumerate(phrases):
        for phrase, found in zip(here, marks[row].any(1) | marks[row + rows].any(1), strict=True):
            if not found:
                raise BadInput(
                    f"The word {printable(repr(str(phrase)), 60)} to blend by occurs in neither prompt: give one of "
                    f"{printable(str(prompts[row]), 200)} or {printable(str(prompts[row + rows]), 200)}."
                )
    return LocalBlend(torch.stack(marks), elements[0].threshold)
