"""Resizing as the feature networks' authors do it: which filter is part of what a number means (Parmar et al. 2022)."""

from __future__ import annotations

from sfumato.lazy import Tensor, torch


def bicubic(pictures: Tensor, size: int) -> Tensor:
    """Bicubic and antialiased in floating point, as Pillow resizes. Beside edges it overshoots the range."""
    return torch.nn.functional.interpolate(pictures, (size, size), mode="bicubic", align_corners=False, antialias=True)


def clean(levels: Tensor, size: int) -> Tensor:
    """`bicubic` of levels from 0 to 255, cut to that range, as clean-fid resizes (Parmar et al. 2022)."""
    return bicubic(levels, size).clamp(0, 255)


def legacy(pictures: Tensor, size: int) -> Tensor:
    """Bilinear between the corner pixels i H/size and the next, without antialiasing: as TensorFlow 1 does."""
    for axis in (-2, -1):
        side = pictures.shape[axis]
        at = torch.arange(size, dtype=torch.float32, device=pictures.device) * (side / size)
        low = at.floor().long()
        part = (at - low).reshape(-1, 1) if axis == -2 else at - low
        high = (low + 1).clamp(max=side - 1)
        pictures = torch.lerp(pictures.index_select(axis, low), pictures.index_select(axis, high), part)
    return pictures
