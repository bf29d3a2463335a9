"""Composites: how a result is put into the picture that was held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from sfumato.element import Element, element
from sfumato.lazy import Tensor
from sfumato.picture import BadInput

Pictures = list[Image.Image]


class Composite(Element, kinds="composite", package="sfumato.edit"):
    """How results are put into the picture that was held, as a recipe says it.

    The last thing that happens to a picture: what the model painted and the held picture become one. `Paste` keeps
    the held one's bytes outside the mask; `Poisson`, `LatentOptimisation` and `DecoderTuning` mend the seam that
    pasting may leave.
    """

    steps: int | ClassVar[int] = 0
    """How many steps a picture takes that optimise something: each shows what it has so far."""

    needs_latents: ClassVar[bool] = False
    """Whether there has to be an autoencoder, whose latents or weights are moved."""

    pastes: ClassVar[bool] = True
    """Whether the picture that was held has its own bytes outside the mask."""

    def check(self, batch: Any) -> None:
        """Raises BadInput where the batch's model can't have it."""
        if self.needs_latents and not hasattr(batch.stage.space, "autoencoder"):
            raise BadInput(
                f"The composite {self.kind} moves an autoencoder's latents or weights, and {batch.recipe.model} paints "
                "pixels without one: choose paste or poisson."
            )

    def apply(
        self, batch: Any, masks: Sequence[Image.Image], x: Tensor | None, pictures: Pictures
    ) -> Iterator[Pictures]:
        """The pictures put into the held one: `steps` for each that are not yet done, then the last.

        masks: one for each picture (mode L, white = the result), none where nothing is held by a mask. x: the result in
        the model's space, None where nothing was sampled. pictures: the same decoded.
        """
        yield pictures


@element("none")
class Uncomposited(Composite):
    """The pictures as the model gives them.

    Nothing is put back: outside a mask too a picture is what the autoencoder makes of it. For measuring what the
    others do.
    """

    pastes = False


def each_within(
    original: Image.Image | None, masks: Sequence[Image.Image], pictures: Pictures, put: Callable[..., Any]
) -> Pictures:
    """Each picture put into the original by put(original, picture, mask); as they are where there is no mask."""
    if not masks or original is None:
        return pictures
    own = np.asarray(original)
    pairs = zip(pictures, masks, strict=True)
    return [Image.fromarray(put(own, np.asarray(picture), np.asarray(mask))) for picture, mask in pairs]
