"""A small picture at the size of a large one, beside the noise of the large one."""

from __future__ import annotations

from torch.nn.functional import interpolate

from sfumato.condition import Concat
from sfumato.encode.encoder import Asked, Encoder
from sfumato.encode.reference_planes import at_size
from sfumato.picture import BadInput
from sfumato.recipe.capabilities import Capabilities
from sfumato.space.pixels import to_tensor


class Enlarged(Encoder):
    """What the stage before painted, or the reference picture where none did, enlarged by bicubic interpolation (Ramesh
    et al. 2022, section 2.1: its upsamplers see no words).

    scale: how many times larger the large picture is.
    """

    tells = Capabilities(references=1)
    follows = True

    def __init__(self, scale: int) -> None:
        self.scale = scale

    def __call__(self, batch: Asked) -> Concat:
        width, height = batch.size
        small = batch.before
        if small is None:
            if not batch.references:
                raise BadInput("This model makes a picture larger: give the recipe that one, as images=[picture].")
            seen = at_size(batch.references[0], (width // self.scale, height // self.scale))
            small = to_tensor([seen]).expand(len(batch.recipes), -1, -1, -1)
        large = interpolate(small.clamp(-1, 1), (height, width), mode="bicubic", antialias=True)
        return Concat(large)
