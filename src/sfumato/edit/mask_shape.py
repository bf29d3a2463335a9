"""The shape of a mask: grown, shrunk, feathered, and dilated while there is noise.

Masks (..., H, W) in [0, 1], 1 = repaint. Distances are Euclidean, in pixels (or cells) of the mask, and beyond the
picture's border nothing pulls: an empty mask stays empty and a full one full.
"""

from __future__ import annotations

import math

from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput


def grow(mask: Tensor, pixels: float) -> Tensor:
    """The largest value within `pixels` of each pixel; for negative `pixels` the smallest, which shrinks the mask.

    grow(1 - m, r) = 1 - grow(m, -r), and 0 changes nothing.
    """
    if pixels < 0:
        return -grow(-mask, -pixels)
    if pixels < 1:
        return mask
    rows = range(-math.floor(pixels), math.floor(pixels) + 1)
    return _largest([_shifted(_widened(mask, math.floor(math.sqrt(pixels**2 - dy**2))), dy) for dy in rows])


def feather(mask: Tensor, radius: float) -> Tensor:
    """A Gaussian edge around the mask: max over |o| <= radius of mask(p + o) exp(-|o|^2 / (2 (radius/3)^2)).

    What the mask had stays; beside it the value falls with the distance, and farther than `radius` it is exactly 0.
    For an edge inside the mask, shrink it first: feather(grow(m, -r), r). 0 changes nothing.

    Raises BadInput for a negative radius.
    """
    if radius < 0:
        raise BadInput(f"A mask's feather is {radius:g}: give a radius of 0 pixels or more.")
    if radius < 1:
        return mask
    reach, falloff = math.floor(radius), 4.5 / radius**2
    rows = range(-reach, reach + 1)
    soft = mask
    for turn in (False, True):  # the Gaussian of a distance is a product, so that rows and columns come one by one
        soft = soft.transpose(-1, -2) if turn else soft
        soft = _largest([_shifted(soft, dy) * math.exp(-falloff * dy**2) for dy in rows])
        soft = soft.transpose(-1, -2) if turn else soft
    return torch.where(grow(mask, radius) > 0, soft, 0.0)


def shrinking(mask: Tensor, dilation: float, t: float) -> Tensor:
    """grow(mask, dilation t): at t = 1 the mask dilated by `dilation`, at t = 0 the mask itself.

    Blended Latent Diffusion's progressive mask shrinking (Avrahami et al. 2023, section 4.3): a thin mask leaves the
    early, noisy steps, which lay out the picture, no room; dilated then, it has.
    """
    return grow(mask, dilation * t)


def _largest(masks: list[Tensor]) -> Tensor:
    largest = masks[0]
    for mask in masks[1:]:
        largest = torch.maximum(largest, mask)
    return largest


def _widened(mask: Tensor, reach: int) -> Tensor:
    """The largest of the 2 reach + 1 values around each pixel of a row."""
    flat = mask.reshape(-1, 1, mask.shape[-1])
    return torch.nn.functional.max_pool1d(flat, 2 * reach + 1, 1, reach).reshape(mask.shape) if reach else mask


def _shifted(mask: Tensor, rows: int) -> Tensor:
    """The mask moved down by `rows`, and nothing above it."""
    height = mask.shape[-2]
    moved = torch.full_like(mask, -math.inf)
    if abs(rows) < height:
        moved[..., max(rows, 0) : height + min(rows, 0), :] = mask[..., max(-rows, 0) : height - max(rows, 0), :]
    return moved
