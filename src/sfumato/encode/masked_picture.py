"""What a network trained to inpaint sees beside the noisy latents: the mask, and the picture without what it hides."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from sfumato.condition import Concat
from sfumato.encode.encoder import Asked, Encoder
from sfumato.recipe.capabilities import Capabilities
from sfumato.space import Space
from sfumato.space.pixels import mask_to_tensor, to_tensor


class MaskedPicture(Encoder):
    """The mask, and what it leaves of the held picture, for networks of 2C + 1 (nine) channels, or those that take
    other `planes`: (space, pictures, masks) -> what the network is shown.

    Where nothing is held all is hidden, and the model makes pictures from words alone.
    """

    tells = Capabilities(inpaints=True)

    def __init__(self, space: Space, planes: Callable[[Space, Tensor, Tensor], Tensor] | None = None) -> None:
        self.space, self.planes = space, planes or masked_planes

    def __call__(self, batch: Asked) -> Concat:
        held, hidden, (width, height) = batch.images.get("held"), batch.mask, batch.size
        if held is None or hidden is None:
            picture, mask = torch.zeros(1, 3, height, width), torch.ones(1, 1, height, width)
        else:
            picture, mask = to_tensor([held]), mask_to_tensor(hidden)
        return Concat(self.planes(self.space, picture, mask).expand(len(batch.recipes), -1, -1, -1))


def masked_planes(space: Space, pictures: Tensor, masks: Tensor) -> Tensor:
    """[mask in cells, encode(picture (1 - mask))], (B, 1 + C, h, w) (Rombach et al. 2022, section 4.5).

    pictures (B, 3, H, W) in [-1, 1]; masks (B, 1, H, W) in [0, 1], 1 = repaint: half and more counts as all, as stock
    diffusers has it. A cell is what its top left pixel is (nearest neighbour), what is hidden is grey.
    """
    hidden = (masks >= 0.5).to(pictures)
    latents = space.encode(pictures * (1 - hidden))
    return torch.cat([hidden[..., :: space.factor, :: space.factor].to(latents), latents], dim=1)


def masked_pixels(space: Space, pictures: Tensor, masks: Tensor) -> Tensor:
    """[encode(picture (1 - mask)), every pixel of the mask], (B, C + F^2, h, w) for cells of F x F pixels, as FLUX.1
    Fill is shown them; otherwise as `masked_planes`."""
    hidden = (masks >= 0.5).to(pictures)
    latents = space.encode(pictures * (1 - hidden))
    return torch.cat([latents, pixel_unshuffle(hidden, space.factor).to(latents)], dim=1)
