"""What an encoder is: the one way from what recipes say to one part of a network's condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor

from sfumato.condition import Part
from sfumato.recipe.capabilities import Capabilities
from sfumato.schedule import Schedule
from sfumato.times import grid

if TYPE_CHECKING:
    from PIL import Image

    from sfumato.edit import Words
    from sfumato.recipe import Recipe


class Asked(Protocol):
    """What encoders see of a batch: its recipes, which differ in seed and words alone, the (width, height) of the run,
    the pictures that they name as the run sees them ("start", "held", "source", ...), the mask (mode L, white =
    repaint), the reference pictures (at their own resolution), the grid over [strength, 0], and what the stage before
    made: pictures (B, 3, h, w) in [-1, 1] at that stage's size, or vectors (B, D); None in the first."""

    @property
    def recipes(self) -> Sequence[Recipe]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def images(self) -> Any: ...  # a mapping of names to PIL images
    @property
    def mask(self) -> Any: ...  # a PIL image, or None
    @property
    def references(self) -> Any: ...  # PIL images
    @property
    def before(self) -> Tensor | None: ...
    @property
    def shown_box(self) -> tuple[float, float, float, float]: ...  # of the whole picture, as fractions
    def control_mask(self, ref: Any) -> Tensor: ...
    def times(self, start: float = ...) -> Tensor: ...


@dataclass(frozen=True)
class Told:
    """Recipes that name no pictures."""

    recipes: Sequence[Recipe]
    size: tuple[int, int]
    schedule: Schedule
    images: Mapping[str, Image.Image] = field(default_factory=dict)
    mask: Image.Image | None = None
    references: Sequence[Image.Image] = ()
    before: Tensor | None = None
    shown_box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def control_mask(self, ref: Any) -> Tensor:
        raise ValueError("Recipes that name pictures are told by a Batch.")

    def times(self, start: float = 1.0) -> Tensor:
        return grid(self.recipes[0].times, self.recipes[0].steps, self.schedule, start)


class Encoder:
    """One kind of input of a network: words, a class, a picture beside the noise.

    Called with a batch it gives a part of the condition, a row for each recipe; the part knows its own null.
    tells: what a recipe may say because this encoder is there. A stage can be told what its encoders can, together.
    follows: whether it takes what the stage before has made.
    """

    tells: Capabilities | ClassVar[Capabilities] = Capabilities()
    follows: ClassVar[bool] = False

    def __call__(self, batch: Asked) -> Part | None:
        """The part; None where the recipes say nothing of it and the network needs none."""
        raise NotImplementedError

    def chunks(self, recipe: Recipe) -> int:
        """How many chunks the recipe's words take: only recipes of as many share a batch, for to others the padding
        would be something to attend to."""
        return 1

    def seeing(self, eye: Any) -> Encoder:
        """The encoder with the eye of the stage before it, (look, nothing, width), if it looks at pictures and has
        none of its own: models of two folders may have theirs in the first."""
        return self

    def spans(self, prompt: str) -> Words | None:
        """Where in the encoded text the words of a prompt stand; None for what reads no words."""
        return None
