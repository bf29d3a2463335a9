"""Between PIL pictures and the tensors inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of one size -> (B, 3, H, W) in [-1, 1]."""
    arrays = np.stack([np.asarray(image.convert("RGB"), dtype=np.uint8) for image in images])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def to_images(pictures: Tensor) -> list[Image.Image]:
    """(B, 3, H, W) in [-1, 1] -> RGB pictures; values are clamped, then rounded."""
    arrays = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(array) for array in arrays]


def mask_to_tensor(mask: Image.Image) -> Tensor:
    """A mask, white = repaint -> (1, 1, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(mask.convert("L"), dtype=np.uint8))[None, None].float() / 255
