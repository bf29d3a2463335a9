"""The adapters of a run on one model: what stands in for its weights while it reads words, and at every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from sfumato.adapt.adapter import Binds, BoundAdapter, Place
from sfumato.adapt.swap import Swap, check_fit, stand_ins
from sfumato.adapt.words import LearnedWords
from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

READ = "text_encoder"  # how the parts begin that read words


class Adaptation:
    """Adapters bound to networks. `reading` and `painting(t)` are put in with a `with`, around a call and no longer:
    between calls the model is as it was.

    Stand-ins are made when they are first needed and kept, of the adaptation that was asked last alone: they are as
    large as the weights that they stand for. Raises BadInput where an adapter does not fit, before anything is painted.
    """

    def __init__(self, networks: Mapping[str, nn.Module], adapters: Sequence[Binds]) -> None:
        self.bound = [adapter.bind(networks) for adapter in adapters]
        for each in self.bound:
            check_fit(networks, each.changes, each.name)
        self.readers = {part: each for part, each in networks.items() if part.startswith(READ)}
        self.painters = {part: each for part, each in networks.items() if not part.startswith(READ)}
        words: dict[str, Sequence[Tensor]] = {}
        for each in self.bound:
            for word, vectors in each.words.items():
                if word in words:
                    raise BadInput(
                        f"Two adapters bring the word {printable(repr(word), 60)}: give one of them another."
                    )
                words[word] = vectors
        self.words = LearnedWords(words) if words else None
        self._swaps: dict[tuple[int, ...] | None, Swap] = {}

    @property
    def reading(self) -> Swap:
        """What stands in while words are read."""
        if (known := self._swaps.get(None)) is not None:
            return known
        learned = self.words.tables(self.readers) if self.words else []
        return self._keep(None, self.readers, [*self._places(self.readers, self.bound), *learned])

    def painting(self, t: Tensor | float) -> Swap:
        """What stands in at time t: all rows are at one time, or on the same side of every interval."""
        times = {float(each) for each in torch.as_tensor(t).flatten()}
        active = {tuple(i for i, each in enumerate(self.bound) if _inside(each, time)) for time in times}
        if len(active) > 1:
            raise BadInput(
                "An adapter with an interval is given to rows at one time: these are inside and outside of it."
            )
        key = next(iter(active))
        if (known := self._swaps.get(key)) is not None:
            return known
        return self._keep(key, self.painters, self._places(self.painters, [self.bound[i] for i in key]))

    def _keep(self, key: tuple[int, ...] | None, networks: Mapping[str, nn.Module], places: Sequence[Place]) -> Swap:
        for other in tuple(_kept):
            if other is not self:
                other._swaps.clear()
        _kept[:] = [self]
        swap = self._swaps[key] = Swap(places, networks.values() if places else ())
        return swap

    def _places(self, networks: Mapping[str, nn.Module], bound: Sequence[BoundAdapter]) -> list[Place]:
        def within(each: BoundAdapter) -> list[Any]:
            return [change for change in each.changes if change.part in networks]

        others = [place for each in bound for part in networks for place in each.places.get(part, ())]
        with torch.no_grad():
            return [*stand_ins(networks, [(within(each), each.weight) for each in bound]), *others]


_kept: list[Adaptation] = []


def learning(networks: Mapping[str, nn.Module], bound: BoundAdapter, words: LearnedWords | None = None) -> Swap:
    """All that stands in for an adapter that is being trained: a function of its tensors as they are now, through which
    gradients go to them. Made anew for every step, by what puts in adapters from files: what is learnt here is what
    the file does."""
    places = stand_ins(networks, [(bound.changes, bound.weight)])
    places += [place for part in networks for place in bound.places.get(part, ())]
    places += words.tables({part: each for part, each in networks.items() if part.startswith(READ)}) if words else []
    return Swap(places, networks.values())


def _inside(bound: BoundAdapter, t: float) -> bool:
    low, high = bound.interval
    return low <= t <= high


class AdaptedDenoiser:
    """A denoiser with the adapters in, while it is asked; everything else of it is its own."""

    def __init__(self, denoiser: Any, adaptation: Adaptation) -> None:
        self.denoiser, self.adaptation = denoiser, adaptation

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # as copies ask before there is a denoiser
            raise AttributeError(name)
        return getattr(self.denoiser, name)

    @property
    def schedule(self) -> Any:
        """The denoiser's own; set on a copy of this, it is that of a copy of the denoiser."""
        return self.denoiser.schedule

    @schedule.setter
    def schedule(self, schedule: Any) -> None:
        self.denoiser = copy(self.denoiser)
        self.denoiser.schedule = schedule

    def __call__(self, x: Tensor, t: Tensor, condition: Any) -> Any:
        with self.adaptation.painting(t):
            return self.denoiser(x, t, condition)

    def output(self, x: Tensor, t: Tensor, condition: Any) -> Tensor:
        """The network's own answer, with the adapters in."""
        with self.adaptation.painting(t):
            return self.denoiser.output(x, t, condition)
