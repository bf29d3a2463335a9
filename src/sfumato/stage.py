"""One diffusion of a model: where it happens, what denoises, and what it can be told."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

from torch import nn

from sfumato.condition import Attention, Condition
from sfumato.denoise import Denoiser
from sfumato.edit import Words
from sfumato.encode import Asked, Encoder, Told
from sfumato.network.spec import PAINTERS
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.schedule import Schedule
from sfumato.space import Space

if TYPE_CHECKING:
    from sfumato.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """One diffusion: a space, a denoiser, and encoders that make its condition of what recipes say.

    name: what recipes call it, where a model has several. size: the (width, height) that it was trained at. multiple:
    each side of a picture must be a multiple of it. scale: how many times larger it makes what the stage before it has
    painted.
    networks: its modules by the family's own names ("unet", "vae", ...), for what changes or measures them.
    controls: what its network takes from controls (`Control.takes`).
    suits: steps, guidance, sampler and times that suit it where nothing else is said.
    eye: what looks at pictures for the stages after it, where it has one (`Encoder.seeing`).
    schedule_at: its schedule at a (width, height), where it depends on it.
    """

    name: str
    space: Space
    denoiser: Denoiser
    encoders: tuple[Encoder, ...] = ()
    size: tuple[int, int] = (0, 0)
    multiple: int = 1
    scale: int = 1
    networks: Mapping[str, nn.Module] = field(default_factory=dict, repr=False)
    device: str = "cpu"
    controls: tuple[str, ...] = ()
    suits: Suits = field(default_factory=Suits)
    eye: Any = field(default=None, repr=False)
    schedule_at: Callable[[tuple[int, int]], Schedule] | None = field(default=None, repr=False)

    @property
    def paints(self) -> bool:
        """Whether it makes pictures: a prior makes vectors, for the stage after it."""
        return self.space.paints

    def condition(self, batch: Asked) -> Condition:
        """What the recipes of a batch say, as the network's condition, on the stage's device."""
        parts = tuple(part for encoder in self.encoders if (part := encoder(batch)) is not None)
        return Condition(parts).to(self.device) if parts else Condition.empty(len(batch.recipes))

    def encode(self, recipes: Sequence[Recipe]) -> Condition:
        """What recipes that name no pictures say."""
        size = (recipes[0].width or self.size[0], recipes[0].height or self.size[1])
        return self.condition(Told(recipes, size, self.denoiser.schedule))

    @property
    def painter(self) -> str:
        """What the family calls the network that denoises, for sentences about it."""
        return next((name for name in PAINTERS if name in self.networks), "network")

    @cached_property
    def capabilities(self) -> Capabilities:
        """What a recipe may tell it: what its encoders can be told, together."""
        told = reduce(Capabilities.__or__, (encoder.tells for encoder in self.encoders), Capabilities())
        accepts = getattr(getattr(self.denoiser, "backbone", None), "accepts", None)
        joint = told.text and accepts is not None and Attention not in accepts
        return replace(told, controls=self.controls, joint=joint, suits=self.suits)

    def at(self, size: tuple[int, int]) -> Stage:
        """The stage as it paints pictures of this (width, height)."""
        if self.schedule_at is None:
            return self
        denoiser = copy.copy(self.denoiser)
        denoiser.schedule = self.schedule_at(size)  # type: ignore[misc]
        return replace(self, denoiser=denoiser)

    def seeing(self, eye: Any) -> Stage:
        """The stage, with the eye of one before it where its encoders need one."""
        return replace(self, encoders=tuple(encoder.seeing(eye) for encoder in self.encoders))

    def chunks(self, recipe: Recipe) -> int:
        """How many chunks a recipe's words take: only recipes of as many share a batch."""
        return max((encoder.chunks(recipe) for encoder in self.encoders), default=1)

    def words(self, prompt: str) -> Words | None:
        """Where in the encoded text a prompt's words stand; None for a stage that reads no words."""
        return next((found for each in self.encoders if (found := each.spans(prompt)) is not None), None)


def main_of(stages: Sequence[Stage]) -> int:
    """Which stage is the main one: the first that paints."""
    return next((n for n, stage in enumerate(stages) if stage.paints), 0)
