"""ControlNet: Zhang et al. 2023, "Adding Conditional Control to Text-to-Image Diffusion Models"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sfumato.control.control import Control, Mapped
from sfumato.control.maps import ControlMap
from sfumato.element import Whole, element

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.network.residuals import Residuals


@element("controlnet")
class ControlNet(Mapped, Control):
    """A copy of the network's downward half sees x, t, the text and the map, and adds to the skips and the middle; of a
    transformer (FLUX.1, Stable Diffusion 3, Qwen-Image, Z-Image, Sana, PixArt) some blocks like its own, which add to
    what those answer. Kandinsky's is a whole decoder that sees the map, whose answer takes the place of the decoder's.

    guess: without words (the paper's "guess mode", section 3.5 of its supplement): unconditional rows are left alone,
        and what is added grows from 0.1 at the first skip to 1 in the middle, in equal ratios. mode: which kind of map
        it is, by its number or its name, for a union of several ControlNets in one; where the map is made (`map`), that
        says it.

    At weight 0, or with zero convolutions as they are at the start of training, pictures are the same to the bit.
    """

    guess: bool = Field(default=False, description="true or false")
    mode: Annotated[Whole, Field(ge=0, le=99)] | Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="the number or the name of a kind of map, or nothing"
    )

    takes, steers = "residuals", "Controls"
    part = "controlnet"

    def bind(self, batch: Any) -> Callable[..., Residuals]:
        from sfumato.network.control_networks import answering, numbered

        network = batch.network(self.net, self.part, self.kind_of_map)
        asked = numbered(network, self)
        suits = getattr(network, "weights", {}).get(asked.mode, 1.0)
        mask = None if self.mask is None else batch.control_mask(self.mask)
        pooled = bool(network.config.get("global_pool_conditions"))
        return BoundControlNet(answering(network, batch, asked), mask, self.guess or pooled, suits)

    @staticmethod
    def public_numbers(union: str) -> dict[str, int]:
        """The numbers of kinds of maps in public unions of that class, by their names."""
        there = [(dict(made.unions).get(union), name) for name, made in ControlMap.registry.classes.items()]
        return {name: number for number, name in sorted((n, name) for n, name in there if n is not None)}


@dataclass(frozen=True, eq=False)
class BoundControlNet:
    """A ControlNet that is shown its map: (x, t, told) -> what it adds, in the rows that it is called with.

    suits: what the control's weight is multiplied by, so that a weight of 1 is what suits the network and the map.
    """

    answer: Callable[..., Residuals]
    mask: Tensor | None = None
    guess: bool = False
    suits: float = 1.0

    def __call__(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
        from sfumato.network.residuals import masked

        return masked(self.answer(x, t, told), self.mask)
