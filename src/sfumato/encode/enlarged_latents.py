"""The latents of a small picture, enlarged, beside the noise."""

from __future__ import annotations

from torch.nn.functional import interpolate

from sfumato.condition import Concat
from sfumato.encode.encoder import Asked, Encoder
from sfumato.encode.low_resolution import small_picture
from sfumato.recipe.capabilities import Capabilities
from sfumato.space import Space


class EnlargedLatents(Encoder):
    """The latents of what the stage before painted, or of the reference picture where none did, each cell of which
    becomes `scale` x `scale`. What comes of them is `scale` times larger than that picture."""

    tells = Capabilities(references=1)
    follows = True

    def __init__(self, space: Space, scale: int) -> None:
        self.space, self.scale = space, scale

    def __call__(self, batch: Asked) -> Concat:
        width, height = batch.size
        small = small_picture(batch, (width // self.scale, height // self.scale))
        return Concat(interpolate(self.space.encode(small), scale_factor=self.scale, mode="nearest"))
