"""Holds: what is kept while the rest is sampled, put back after every move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from PIL import Image

from sfumato.edit.start import BoundStart
from sfumato.element import Element
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.picture import Ref

Held = Callable[[Tensor, Tensor, NoiseSource], Tensor]


class Hold(Element, kinds="hold", package="sfumato.edit"):
    """What is held, as a recipe says it. `bind` makes the part that acts.

    A hold keeps something of a picture at every step, while the rest is painted: what is outside a mask (`Outside`),
    outside where two texts disagree (`Inferred`), its coarse shapes (`LowPass`). It goes with any start, guidance and
    sampler.
    """

    picture: Ref | ClassVar[None] | None = None
    """The picture that is held; None means the one that is started from, or mended."""

    mask: Ref | ClassVar[None] = None
    """The mask that a hold was given, white where the picture is repainted; None for holds without one."""

    resample: Any | ClassVar[None] = None
    """How the steps are walked again under this hold; None for once."""

    infers: ClassVar[bool] = False
    """Whether it finds masks of its own."""

    def shaped(self) -> Image.Image | None:
        """The mask that a hold was given, at its own size, as it acts; None where it was given none."""
        return None

    def bind(self, batch: Any, start: BoundStart) -> BoundHold | None:
        """The hold of a run of `batch` (a `sfumato.model.Batch`) that begins at `start`; None if nothing acts."""
        raise NotImplementedError


class BoundHold:
    """A hold in a run: called with x after a move to time s, it puts back what is held.

    act: the function (x, s, noise) -> x. One that has to call the network before the first step (to infer a mask) does
    it in `prepare`, which yields once a call, `calls` times.
    """

    calls: int = 0
    infers: bool = False
    """Whether it finds masks of its own."""

    def __init__(self, act: Held | None = None) -> None:
        self._act = act

    def __call__(self, x: Tensor, s: Tensor, noise: NoiseSource) -> Tensor:
        return x if self._act is None else self._act(x, s, noise)

    def prepare(self) -> Iterator[None]:
        """What has to be done before; yields after each network call."""
        yield from ()

    def masks(self) -> Tensor | None:
        """The masks (B, 1, h, w) that were inferred, 1 = repainted; None where none were."""
        return None


def blend(mask: Tensor, x: Tensor, kept: Tensor) -> Tensor:
    """mask x + (1 - mask) kept: x to the bit where the mask is 1, `kept` to the bit where it is 0."""
    mask = mask.to(device=x.device, dtype=x.dtype)
    return torch.where(mask == 1, x, torch.where(mask == 0, kept, mask * x + (1 - mask) * kept))
