"""The adapters of a run on one model: what stands in for its weights while it reads words, and at every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sfumato.adapt.adapter import Adapter, BoundAdapter
from sfumato.adapt.swap import Swap, stand_ins
from sfumato.adapt.words import LearnedWords
from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

READ = "text_encoder"  # how the parts begin that read words


class Adaptation:
    """Adapters bound to networks. `reading` and `painting(t)` are put in with a `with`, around a call and no longer:
    between calls the model is as it was."""

    def __init__(self, networks: Mapping[str, nn.Module], adapters: Sequence[Adapter]) -> None:
        self.bound = [adapter.bind(networks) for adapter in adapters]
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
        self._swaps: dict[tuple[int, ...], Swap] = {}
        learned = self.words.tables(self.readers) if self.words else []
        self.reading = Swap([*self._places(self.readers, self.bound), *learned])

    def painting(self, t: Tensor | float) -> Swap:
        """What stands in at time t: all rows are at one time, or on the same side of every interval."""
        times = {float(each) for each in torch.as_tensor(t).flatten()}
        active = {tuple(i for i, each in enumerate(self.bound) if _inside(each, time)) for time in times}
        if len(active) > 1:
            raise BadInput("An adapter with an interval is given to rows at one time: these are inside and outside it.")
        key = next(iter(active))
        if key not in self._swaps:
            self._swaps[key] = Swap(self._places(self.painters, [self.bound[i] for i in key]))
        return self._swaps[key]

    def check(self) -> None:
        """Raises BadInput where the weights that are in at some time don't fit, before anything is painted."""
        edges = {time for each in self.bound for time in each.interval}
        for time in edges:
            self.painting(time)

    def _places(self, networks: Mapping[str, nn.Module], bound: Sequence[BoundAdapter]) -> list[Any]:
        def within(each: BoundAdapter) -> list[Any]:
            return [change for change in each.changes if change.part in networks]

        others = [place for each in bound for part in networks for place in each.places.get(part, ())]
        return [*stand_ins(networks, [(within(each), each.weight, each.name) for each in bound]), *others]


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

    def __call__(self, x: Tensor, t: Tensor, condition: Any) -> Any:
        with self.adaptation.painting(t):
            return self.denoiser(x, t, condition)

    def output(self, x: Tensor, t: Tensor, condition: Any) -> Tensor:
        """The network's own answer, with the adapters in."""
        with self.adaptation.painting(t):
            return self.denoiser.output(x, t, condition)
