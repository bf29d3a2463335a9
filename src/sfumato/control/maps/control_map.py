"""What every kind of map is: how it is read off a picture, and how it is drawn for the networks that obey it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sfumato.element import Element

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


class ControlMap(Element, kinds="control map", package="sfumato.control.maps"):
    """A map of a picture: `read` answers it as an array, `draw` as the picture that ControlNets are shown; the map
    itself, called with a picture, does both. It has the picture's size.

    shows: what its arrays are, by which metrics of adherence go:

    | shows | array of a picture H x W |
    |---|---|
    | edges | (H, W) float in [0, 1], 1 on an edge |
    | depth | (H, W) float, larger is nearer, in units of its own |
    | normals | (H, W, 3) unit vectors, x right, y up, z to the viewer |
    | joints | (18, 3): x, y in pixels and 1 or 0 for there or not, in the order of `skeleton.JOINTS` |
    | classes | (H, W) whole numbers |

    unions: the numbers that it has in public unions of ControlNets, by their classes in diffusers: xinsir's of Stable
    Diffusion XL, InstantX' and Shakker Labs' of FLUX.1.
    """

    shows: ClassVar[str]
    unions: ClassVar[tuple[tuple[str, int], ...]] = ()

    def read(self, image: Image.Image) -> np.ndarray:
        """The map of an RGB picture."""
        raise NotImplementedError

    def draw(self, found: np.ndarray, size: tuple[int, int]) -> Image.Image:
        """A map as an RGB picture of `size` (width, height), its own size."""
        raise NotImplementedError

    def truth(self, drawn: Any) -> np.ndarray:
        """The map of a picture of the built-in world (`sfumato.evaluate.adherence.Drawn`), of which everything is
        known; by default what is read in it."""
        return self.read(drawn.picture)

    def of_drawn(self, drawn: Any) -> Image.Image:
        """The truth of a picture of the built-in world as a picture: what networks are trained on."""
        return self.draw(self.truth(drawn), drawn.picture.size)

    def __call__(self, image: Image.Image) -> Image.Image:
        return self.draw(self.read(image.convert("RGB")), image.size)
