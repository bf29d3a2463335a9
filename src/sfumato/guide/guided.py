"""A guided denoiser is again a denoiser: all branches of all guidances in one network call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Protocol, runtime_checkable

from sfumato.condition import Condition
from sfumato.denoise import Denoiser, Prediction
from sfumato.guide.conjunction import conjuncts, joined
from sfumato.guide.gradient import Gradient
from sfumato.guide.guidance import Guidance
from sfumato.guide.regions import mixed, regions
from sfumato.lazy import Tensor, torch
from sfumato.schedule import Schedule


@runtime_checkable
class Consulting(Protocol):
    """A guidance that also asks another denoiser than the guided one."""

    def answers(self, x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Prediction]:
        """The other's answers, by names of their own; those of one name are shared between guidances."""
        ...


class Guided:
    """A denoiser moved by guidances, applied in order. Without branches the denoiser is called as it stands.

    Each guidance is made `fresh`: what it remembers belongs to this denoiser and to no other run.
    The union of branches is kept while the condition and the names stay the same, so that a step copies no embeddings.
    The call records a graph only where a `Gradient` asks for one; the answer then carries none.
    """

    def __init__(self, denoiser: Denoiser, guidances: Sequence[Guidance | Gradient]) -> None:
        self.denoiser = denoiser
        self.guidances = tuple(guidance.fresh() for guidance in guidances)
        self._consulting = tuple(g for g in self.guidances if isinstance(g, Consulting))
        self._union: tuple[Condition, tuple[str, ...], Condition] | None = None

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        now = condition.at(t)
        if not any(isinstance(g, Gradient) and g.through and g.acts(t) for g in self.guidances):
            return self._combined(x, t, now)
        with torch.enable_grad():
            return _without_graph(self._combined(x.detach().requires_grad_(), t, now))

    def _combined(self, x: Tensor, t: Tensor, now: Condition) -> Prediction:
        outs = self._answers(x, t, now)
        for guidance in self._consulting:
            if getattr(guidance, "name", None) not in outs:
                outs |= guidance.answers(x, t, now)
        current = outs["conditional"]
        for guidance in self.guidances:
            if isinstance(guidance, Gradient):
                current = guidance.climb(current, x, t, now)
            else:
                current = guidance.combine(current, outs, x, t)
        return current

    def _answers(self, x: Tensor, t: Tensor, now: Condition) -> dict[str, Prediction]:
        branches = {"conditional": now}
        for guidance in self.guidances:
            if isinstance(guidance, Gradient):
                continue
            for name, branch in guidance.branches(now, t).items():
                branches.setdefault(name, branch)
        told = {name: regions(branch) for name, branch in branches.items()}
        if any(len(conjuncts(region)) > 1 for several in told.values() for region in several):
            told = {"unconditional": regions(now.null()), **told}
        asked = {
            f"{name}, region {k}, text {j}": text
            for name, several in told.items()
            for k, region in enumerate(several)
            for j, text in enumerate(conjuncts(region))
        }
        if len(asked) == len(branches):
            return self._asked(x, t, now, branches)
        said = self._asked(x, t, now, asked)

        def answer(name: str, k: int, region: Condition) -> Prediction:
            texts = [said[f"{name}, region {k}, text {j}"] for j in range(len(conjuncts(region)))]
            return texts[0] if len(texts) == 1 else joined(texts, said["unconditional, region 0, text 0"], region)

        return {
            name: mixed([answer(name, k, region) for k, region in enumerate(several)], branches.get(name, now))
            for name, several in told.items()
        }

    def _asked(self, x: Tensor, t: Tensor, now: Condition, branches: Mapping[str, Condition]) -> dict[str, Prediction]:
        """The network's answers to all branches in one call."""
        if len(branches) == 1:
            return {name: self.denoiser(x, t, branch) for name, branch in branches.items()}
        rows, count = len(x), len(branches)
        times = t.repeat(count) if t.ndim else t
        together = self.denoiser(torch.cat([x] * count), times, self._union_of(now, branches))
        return {name: together.select(slice(i * rows, (i + 1) * rows)) for i, name in enumerate(branches)}

    def _union_of(self, now: Condition, branches: Mapping[str, Condition]) -> Condition:
        names = tuple(branches)
        kept = self._union
        if kept is None or not kept[0].same(now) or kept[1] != names:
            kept = self._union = (now, names, type(now).cat(tuple(branches.values())))
        return kept[2]


def _without_graph(p: Prediction) -> Prediction:
    values = {f.name: getattr(p, f.name) for f in fields(p)}
    return replace(p, **{name: a.detach() for name, a in values.items() if a is not None})
