"""Pictures made worse, to learn to mend them: what the network sees, and where it must paint."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sfumato.data import masks
from sfumato.edit.palette import seen
from sfumato.train import rng

BORDER = (0.1, 0.45)  # of the picture's side that uncropping must paint


def degraded(pictures: Tensor, tasks: list[str], quality: tuple[int, int], *key: object) -> tuple[Tensor, Tensor]:
    """For each picture (B, 3, H, W) in [-1, 1] and its task the planes beside the noise; and where to paint.

    Where to paint is 1 in the hole, or all over a picture that has none. Both are functions of `key`.
    """
    rows = enumerate(zip(pictures, tasks, strict=True))
    worse = [_one(picture[None], task, quality, *key, row) for row, (picture, task) in rows]
    return torch.cat([y for y, _ in worse]), torch.cat([where for _, where in worse])


def _one(picture: Tensor, task: str, quality: tuple[int, int], *key: object) -> tuple[Tensor, Tensor]:
    size = picture.shape[-1]
    if task == "restore":
        picture = jpeg(picture[0], quality[0] + rng.choice(quality[1] - quality[0] + 1, *key, "quality"))[None]
    mask = HOLES[task](rng.key(*key, "hole"), size) if task in HOLES else np.ones((size, size), bool)
    where = torch.from_numpy(mask)[None, None].to(picture)
    noise = torch.randn(picture.shape, generator=rng.generator(*key, "noise"))
    return seen(task, picture, where, noise.to(picture)), where


def jpeg(picture: Tensor, quality: int) -> Tensor:
    """A picture (C, H, W) in [-1, 1], in colours or grey, as JPEG of that quality gives it back."""
    shown, buffer = image(picture), io.BytesIO()
    shown.save(buffer, "JPEG", quality=quality)
    back = np.atleast_3d(np.asarray(Image.open(buffer).convert(shown.mode)))
    return torch.from_numpy(back.copy()).permute(2, 0, 1).to(picture) / 127.5 - 1


def image(picture: Tensor) -> Image.Image:
    """A picture (C, H, W) in [-1, 1] in 8 bits: "L" where it has one channel."""
    pixels = ((picture.permute(1, 2, 0).cpu().numpy().clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def border(seed: int, size: int) -> np.ndarray:
    """A hole along one, two or all four sides (Palette, section 5.3)."""
    draw = np.random.default_rng(seed)
    sides = [("left",), ("right",), ("top",), ("bottom",), ("left", "right"), ("top", "bottom")]
    sides.append(("left", "right", "top", "bottom"))
    chosen, width = sides[draw.integers(len(sides))], draw.uniform(*BORDER) * size
    if len(chosen) > 1:
        width /= 2
    cells, mask = max(round(width), 1), np.zeros((size, size), bool)
    for side, edge in {
        "left": np.s_[:, :cells],
        "right": np.s_[:, -cells:],
        "top": np.s_[:cells],
        "bottom": np.s_[-cells:],
    }.items():
        mask[edge] |= side in chosen
    return mask


HOLES = {"inpaint": lambda seed, size: masks.draw(seed, 0, size), "uncrop": border}
