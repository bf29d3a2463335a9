"""What a network trained to inpaint sees beside the noisy latents: the mask, and the picture without what it hides."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Concat
from sfumato.space import Space
from sfumato.space.pixels import mask_to_tensor, to_tensor


def masked_planes(space: Space, pictures: Tensor, masks: Tensor) -> Tensor:
    """[mask in cells, encode(picture (1 - mask))], (B, 1 + C, h, w) (Rombach et al. 2022, section 4.5).

    pictures (B, 3, H, W) in [-1, 1]; masks (B, 1, H, W) in [0, 1], 1 = repaint: half and more counts as all, as stock
    diffusers has it. A cell is what its top left pixel is (nearest neighbour), what is hidden is grey.
    """
    hidden = (masks >= 0.5).to(pictures)
    cells = hidden[..., :: space.factor, :: space.factor]
    return torch.cat([cells, space.encode(pictures * (1 - hidden))], dim=1)


def shown(space: Space, given: Any, size: tuple[int, int], rows: int) -> Concat:
    """What the network sees of the held picture in each of `rows` rows; where nothing is held all is hidden, and the
    model makes pictures of `size` (width, height) from words alone."""
    if given is None or given.held is None or given.mask is None:
        width, height = size
        picture, mask = torch.zeros(1, 3, height, width), torch.ones(1, 1, height, width)
    else:
        picture, mask = to_tensor([given.held]), mask_to_tensor(given.mask)
    return Concat(masked_planes(space, picture, mask).expand(rows, -1, -1, -1))
