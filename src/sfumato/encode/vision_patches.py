"""Pictures as Qwen's vision towers see them: patches in a row (Wang et al. 2024, "Qwen2-VL")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sfumato.picture.errors import BadInput, printable

MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's
STD = (0.26862954, 0.26130258, 0.27577711)
COLOURS = {"mean": MEAN, "std": STD}


@dataclass(frozen=True)
class VisionPatches:
    """Pictures -> their patches, and how many of them stand one above and beside another.

    A picture is scaled so that its sides are multiples of patch x merge pixels and its area lies in [fewest, most]
    pixels, then normalised and cut into patches, merge x merge neighbours after one another; each of these groups is
    one token of the chat model. frames: how often a still picture is shown.
    """

    patch: int = 14
    merge: int = 2
    frames: int = 2
    fewest: int = 56 * 56
    most: int = 28 * 28 * 1280
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    @classmethod
    def from_config(cls, config: Mapping[str, Any], where: str) -> VisionPatches:
        """What a `preprocessor_config.json` says. Raises BadInput for values that are none."""
        size = config.get("size") or {}
        found = {
            "patch": config.get("patch_size", 14),
            "merge": config.get("merge_size", 2),
            "frames": config.get("temporal_patch_size", 2),
            "fewest": config.get("min_pixels") or size.get("shortest_edge", 56 * 56),
            "most": config.get("max_pixels") or size.get("longest_edge", 28 * 28 * 1280),
        }
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 28:
                raise BadInput(
                    f"The {where} says {printable(repr(value), 60)} for {name}: give a whole number above 0."
                )
        mean, std = (tuple(map(float, config.get(f"image_{name}", ours))) for name, ours in COLOURS.items())
        return cls(**found, mean=mean, std=std)

    def __call__(self, pictures: Sequence[Image.Image]) -> tuple[Tensor, Tensor]:
        """Patches (P, 3 frames patch^2) of all pictures, and (pictures, 3) = 1, patches along height and width."""
        cut = [self._cut(picture) for picture in pictures]
        return torch.cat([patches for patches, _ in cut]), torch.tensor([grid for _, grid in cut])

    def tokens(self, grid: Sequence[int]) -> int:
        """How many tokens of the chat model a picture takes."""
        return math.prod(grid) // self.merge**2

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) at which a picture is seen."""
        cell = self.patch * self.merge
        wide, high = (round(side / cell) * cell for side in (width, height))
        if wide * high > self.most:
            scale = math.sqrt(width * height / self.most)
            wide, high = (max(cell, math.floor(side / scale / cell) * cell) for side in (width, height))
        elif wide * high < self.fewest:
            scale = math.sqrt(self.fewest / (width * height))
            wide, high = (math.ceil(side * scale / cell) * cell for side in (width, height))
        return wide, high

    def _cut(self, picture: Image.Image) -> tuple[Tensor, tuple[int, int, int]]:
        seen = picture.convert("RGB").resize(self.size(*picture.size), Image.Resampling.BICUBIC)
        values = torch.from_numpy(np.array(seen)).permute(2, 0, 1).float() / 255
        values = (values - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]
        p, m = self.patch, self.merge
        high, wide = values.shape[1] // p, values.shape[2] // p
        cells = values.reshape(3, high // m, m, p, wide // m, m, p).permute(1, 4, 2, 5, 0, 3, 6)
        shown = cells[:, :, :, :, :, None].expand(-1, -1, -1, -1, -1, self.frames, -1, -1)
        return shown.reshape(high * wide, -1), (1, high, wide)
