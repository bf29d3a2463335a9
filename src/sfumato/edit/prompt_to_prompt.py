"""Prompt-to-Prompt: Hertz et al. 2022. What the source's words painted where, the target's words paint there too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from sfumato.condition import Condition, Injection, Watched
from sfumato.edit.alignment import Words, align
from sfumato.edit.attention import AttentionMaps
from sfumato.edit.hold import Held
from sfumato.noise import Key, NoiseSource
from sfumato.sample import Sampler, Step, trajectory
from sfumato.sample.step import Denoise

BEGIN = 0.8  # local blend waits until here: the first maps are those of noise


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
        maps = functional.max_pool2d(self.maps.of(self.words, size), 3, 1, 1)
        maps = functional.interpolate(maps, size, mode="bilinear")
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
    hold: Held | None = None,
    blend: LocalBlend | None = None,
    way: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Step]:
    """The `trajectory` of x (B, ...) twice in one batch, with the same noise; the steps of the edited rows alone.

    denoise: bound to a `coupled` condition of 2B rows. The companions run as the source's words alone would, with the
    same start, hold and noise, and are dropped. hold: bound for B rows; it acts on each half. Where nothing is injected
    both halves are what `trajectory` gives. A sampler that chooses each row's steps by itself (rk45) asks for both rows
    of a pair at once, but between knots not always at the same time.

    way: what the companions are at time s, (B, ...). An inverted picture's own way keeps them at the picture itself,
    from which guidance would lead them off (Ju et al. 2023, "Direct inversion").
    """
    rows = len(x)

    def held(both: Tensor, s: Tensor, noise: NoiseSource) -> Tensor:
        assert isinstance(noise, Twice)
        if hold is not None:
            both = torch.cat([hold(half, s, noise.source) for half in both.chunk(2)])
        if way is not None:
            both = torch.cat([both[:rows], way(s).to(both)])
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
