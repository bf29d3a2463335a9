"""Null-text optimisation: an unconditional branch of each step's own, by which *guided* DDIM walks an inverted path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from sfumato.condition import Condition, Text
from sfumato.denoise import Denoiser, Prediction, bind
from sfumato.edit.ddim_inversion import Inversion
from sfumato.edit.start import Times
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput
from sfumato.sample.step import Knots, ddim

RATE = 1e-2


@dataclass(frozen=True, eq=False)
class NullText(Text):
    """A text whose unconditional branch changes with time: at t it is `nulls[:, k]`, k the nearest of `times`.

    nulls (B, K, L, D), embeddings; times (B, K), float64. `at` gives the plain `Text` of a time; without it the null
    is `negative`, as in every text.
    """

    nulls: Tensor | None = None
    times: Tensor | None = None

    def at(self, t: Tensor | float) -> Text:  # type: ignore[override]
        assert self.nulls is not None
        assert self.times is not None
        t = torch.as_tensor(t, dtype=torch.float64, device=self.times.device)
        nearest = (self.times - t.reshape(-1, 1)).abs().argmin(1)
        null = self.nulls[torch.arange(self.rows, device=nearest.device), nearest]
        return Text(self.embeds, self.mask, self.pooled, replace(self.null(), embeds=null, negative=None))

    @classmethod
    def cat(cls, parts: Sequence[NullText]) -> NullText:  # type: ignore[override]
        nulls, times = ([getattr(part, name) for part in parts] for name in ("nulls", "times"))
        return cls(**vars(Text.cat(parts)), nulls=torch.cat(nulls), times=torch.cat(times))


def null_text(
    denoiser: Denoiser, condition: Condition, path: Inversion, scale: float, iterations: int = 10
) -> Iterator[Condition]:
    """The condition with `NullText`: classifier-free guidance of `scale` by it leads DDIM back down `path`.

    Mokady et al. 2023, algorithm 1. From the path's top, at each step t -> s, the null embedding is moved by
    `iterations` steps of Adam towards the one for which guided DDIM from where it is comes to path(s):
    |path(s) - ddim(u + scale (c - u))|^2, u with the null and c with the text; the best one found is kept, and is the
    next step's first. `condition` (B rows) says what the picture shows, with a `Text`. The network itself does not
    change, and must be differentiable. Each row is optimised by itself, so that its neighbours do not matter.

    Yields once a step of the path, last with the whole condition (before with what is found so far).
    """
    text = condition.get(Text)
    if text is None:
        raise BadInput("Null-text optimisation needs a condition with words.")
    null, x, nulls, asked = text.null(), path.at(path.knots[-1]), [], []
    for t, s in pairwise(path.knots.flip(0)):
        with torch.no_grad():
            c = denoiser(x, t, condition)
        guided = partial(_guided, denoiser, condition.null(), scale, c, Knots.of(denoiser.schedule, t, s), x, t, null)
        apart = partial(_apart, path.at(s))
        embeds, x = _descended(null.embeds, guided, apart, iterations)
        null = replace(null, embeds=embeds)
        nulls.append(embeds)
        asked.append(t)
        times = torch.stack(asked).double().to(embeds.device).expand(len(x), -1)
        found = NullText(**vars(text), nulls=torch.stack(nulls, 1), times=times)
        yield replace(condition, parts=tuple(found if part is text else part for part in condition.parts))


def _guided(
    denoiser: Denoiser,
    others: Condition,
    scale: float,
    c: Prediction,
    step: Knots,
    x: Tensor,
    t: Tensor,
    null: Text,
    embeds: Tensor,
) -> Tensor:
    """Where guided DDIM goes with these embeddings for the null."""
    u = denoiser(x, t, others.adding(replace(null, embeds=embeds)))
    return ddim(c.moved(x0=u.x0 + scale * (c.x0 - u.x0), eps=u.eps + scale * (c.eps - u.eps)), step)


def _apart(goal: Tensor, there: Tensor) -> Tensor:
    return (there - goal).square().flatten(1).mean(1)


def _descended(
    embeds: Tensor, guided: Callable[[Tensor], Tensor], apart: Callable[[Tensor], Tensor], iterations: int
) -> tuple[Tensor, Tensor]:
    """The embeddings of each row's least distance among those that Adam passes, and where they lead."""
    moving = embeds.clone().requires_grad_()
    adam = torch.optim.Adam([moving], RATE)
    kept, there, best = embeds, embeds, None
    for i in range(iterations + 1):
        with torch.enable_grad():
            now = guided(moving)
            distance = apart(now)
        if best is None:
            kept, there, best = moving.detach().clone(), now.detach(), distance.detach()
        nearer = distance.detach() < best
        kept, there, best = (
            torch.where(nearer.reshape(-1, *[1] * (old.ndim - 1)), new.detach(), old)
            for new, old in ((moving, kept), (now, there), (distance, best))
        )
        if i < iterations:
            (moving.grad,) = torch.autograd.grad(distance.sum(), [moving])
            adam.step()
    return kept, there


class NullTextInversion(Inversion):
    """`Inversion`, and the null texts by which guidance of `scale` comes back down: Mokady et al. 2023, algorithm 1.

    denoiser and shown: what the picture shows, with a `Text` and without guidance. `condition` gives the nulls to the
    one that is sampled with.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        shown: Condition,
        x0: Tensor,
        times: Times,
        strength: float = 0.8,
        refine: int = 0,
        scale: float = 5.0,
        iterations: int = 10,
    ) -> None:
        super().__init__(bind(denoiser, shown), x0, times, strength, refine)
        self.denoiser, self.shown, self.scale, self.iterations = denoiser, shown, scale, iterations
        self.calls += len(self.knots) - 1
        self._found: NullText | None = None

    def prepare(self) -> Iterator[None]:
        """Walks upwards and then optimises; yields after each network call of the one and each step of the other."""
        yield from super().prepare()
        for condition in null_text(self.denoiser, self.shown, self, self.scale, self.iterations):
            self._found = next(part for part in condition.parts if isinstance(part, NullText))
            yield

    def condition(self, condition: Condition) -> Condition:
        """The condition (B or a multiple of B rows) with its own words, and the nulls in the place of its own."""
        text, found = condition.get(Text), self._found
        if text is None or found is None or found.nulls is None or found.times is None:
            return condition
        rows = torch.arange(text.rows) % found.rows
        words = NullText(**vars(text), nulls=found.nulls[rows], times=found.times[rows])
        return replace(condition, parts=tuple(words if part is text else part for part in condition.parts))
