"""Guidance: a guided denoiser is again a denoiser.

`Guided(denoiser, [g1, g2])` asks every guidance which branches of the condition it needs, makes ONE network call on
the rows of all of them, and lets the guidances combine the answers in the order written.

| guidance | moves towards | off | the network's rows a picture | besides |
|---|---|---|---|---|
| none | c | | 1 | |
| `ClassifierFree` | u + scale (c - u) | 1 | + 1 | |
| `CFGPlusPlus` | x0 as above, eps of u | | + 1 | |
| `ProjectedGuidance` | c + (scale - 1) (c - u), its part parallel to c damped | 1 | + 1 | |
| `PerturbedAttention` | c + scale (c - p), p with self-attention the identity | 0 | + 1 | |
| `AutoGuidance` | bad + scale (c - bad) | 1 | + 0 | a call of the bad denoiser |
| `StaticThreshold`, `DynamicThreshold` | x0 within a limit | | + 0 | |
| `ClassifierGuidance` | eps - sigma scale grad log p(y given x_t) | 0 | + 0 | the classifier, forward and back |
| `ClipGuidance` of a noised CLIP | eps - sigma scale grad f(x_t) g(c) | 0 | + 0 | its image tower, forward and back |
| ... of a clean one, `through="x0"` | the same of f(x0) | 0 | + 0 | decoder and image tower, forward and back |
| ... of a clean one, `through="network"` | the same of f(x0(x_t)) | 0 | + 0 | and the network's own backward pass |

A text that is joined of several (see `conjunction`) costs a row for each of them, and the unconditional one.
Outside its interval a guidance costs nothing. Branches of one name are shared, so rows add up only for different ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sfumato.condition import Condition, Text
from sfumato.denoise import Denoiser, Prediction
from sfumato.guide.auto import AutoGuidance
from sfumato.guide.cfgpp import CFGPlusPlus
from sfumato.guide.classifier import Classifier, ClassifierGuidance, MixtureClassifier
from sfumato.guide.classifier_free import ClassifierFree
from sfumato.guide.clip import CleanClip, ClipGuidance, NoisedClip
from sfumato.guide.conjunction import conjuncts, joined
from sfumato.guide.gradient import Gradient
from sfumato.guide.perturbed import PerturbedAttention
from sfumato.guide.projected import ProjectedGuidance
from sfumato.guide.threshold import DynamicThreshold, StaticThreshold
from sfumato.schedule import Schedule

__all__ = [
    "AutoGuidance",
    "CFGPlusPlus",
    "Classifier",
    "ClassifierFree",
    "ClassifierGuidance",
    "CleanClip",
    "ClipGuidance",
    "DynamicThreshold",
    "Gradient",
    "Guidance",
    "Guided",
    "MixtureClassifier",
    "NoisedClip",
    "PerturbedAttention",
    "ProjectedGuidance",
    "StaticThreshold",
]


class Guidance(Protocol):
    """One way to move a prediction. A fresh one for every run: it may keep momentum, updated once a step."""

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        """Further conditions it needs answers for at t; branches of one name are shared between guidances."""
        ...

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        """The moved prediction. `current` is what the guidances before it left; outs["conditional"] the plain one."""
        ...


@runtime_checkable
class Consulting(Protocol):
    """A guidance that also asks another denoiser than the guided one."""

    def answers(self, x: Tensor, t: Tensor, condition: Condition) -> Mapping[str, Prediction]:
        """The other's answers, by names of their own; those of one name are shared between guidances."""
        ...


class Guided:
    """A denoiser moved by guidances, applied in order. Without branches the denoiser is called as it stands.

    The union of branches is kept while the condition and the names stay the same, so that a step copies no embeddings.
    The call records a graph only where a `Gradient` asks for one; the answer then carries none.
    """

    def __init__(self, denoiser: Denoiser, guidances: Sequence[Guidance | Gradient]) -> None:
        self.denoiser = denoiser
        self.guidances = tuple(guidances)
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
        text = now.get(Text)
        if text is None or text.shares is None:
            return self._asked(x, t, now, branches)
        apart = {name: conjuncts(branch) for name, branch in {"unconditional": now.null(), **branches}.items()}
        flat = {f"{name}, {k}": each for name, several in apart.items() for k, each in enumerate(several)}
        said = self._asked(x, t, now, flat)
        nothing = said["unconditional, 0"]
        outs = {name: [said[f"{name}, {k}"] for k in range(len(several))] for name, several in apart.items()}
        return {
            name: several[0] if len(several) == 1 else joined(several, nothing, text.shares)
            for name, several in outs.items()
        }

    def _asked(self, x: Tensor, t: Tensor, now: Condition, branches: Mapping[str, Condition]) -> dict[str, Prediction]:
        """The network's answers to all branches in one call."""
        if len(branches) == 1:
            return {"conditional": self.denoiser(x, t, now)}
        rows, count = len(x), len(branches)
        repeated = x.repeat(count, *[1] * (x.ndim - 1))
        times = t.repeat(count) if t.ndim else t
        together = self.denoiser(repeated, times, self._union_of(now, branches))
        return {name: together.select(slice(i * rows, (i + 1) * rows)) for i, name in enumerate(branches)}

    def _union_of(self, now: Condition, branches: Mapping[str, Condition]) -> Condition:
        names = tuple(branches)
        kept = self._union
        if kept is None or not kept[0].same(now) or kept[1] != names:
            kept = self._union = (now, names, Condition.cat(tuple(branches.values())))
        return kept[2]


def _without_graph(p: Prediction) -> Prediction:
    values = {f.name: getattr(p, f.name) for f in fields(p)}
    return replace(p, **{name: a.detach() for name, a in values.items() if a is not None})
