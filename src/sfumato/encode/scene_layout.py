"""A map of what lies where, painted in a palette -> planes beside the noise (Gafni et al. 2022, "Make-A-Scene")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sfumato.condition import Layout
from sfumato.encode.encoder import Asked, Encoder
from sfumato.recipe.capabilities import Capabilities
from sfumato.space import Space

FAR = 60  # of 255: a colour that is so far from all of the palette's says nothing, as black does


@dataclass(frozen=True)
class SceneMap:
    """The classes of a scene by their colours, in the groups of Make-A-Scene (section 3.1): "panoptic", and what
    "human" and "face" say more closely of whom the panoptic group calls a `person`.

    A cell's planes are, of each class of each group, how much of the cell it covers, and last how much of it is an edge
    between classes. Zeros where nothing is said.
    """

    palette: Mapping[str, Sequence[int]]
    groups: Mapping[str, Sequence[str]]
    person: str = "person"

    @cached_property
    def planes(self) -> list[str]:
        """The classes of the planes, group by group, but for the edges'."""
        return [name for names in self.groups.values() for name in names]

    @property
    def channels(self) -> int:
        return len(self.planes) + 1

    @cached_property
    def covers(self) -> Tensor:
        """(1 + classes, planes): which planes a class of the palette counts in; row 0 says nothing."""
        finer = {name for group, names in self.groups.items() if group != "panoptic" for name in names}
        table = torch.zeros(1 + len(self.palette), len(self.planes))
        for row, name in enumerate(self.palette, 1):
            counted = [name, *([self.person] if name in finer and self.person in self.planes else [])]
            table[row, [self.planes.index(each) for each in counted]] = 1
        return table

    def numbers(self, image: Image.Image) -> np.ndarray:
        """The number of each pixel's class (H, W), in the palette's order from 1 on; 0 where nothing is said."""
        pixels = np.asarray(image.convert("RGB"), np.int32)
        colours = np.array([(0, 0, 0), *self.palette.values()], np.int32)
        distance = np.square(pixels[..., None, :] - colours).sum(-1)
        return np.where(distance.min(-1) <= FAR**2, distance.argmin(-1), 0)

    def of(self, numbers: Tensor, cells: tuple[int, int]) -> Tensor:
        """The planes (B, channels, h, w) of maps of class numbers (B, H, W)."""
        covered = self.covers.to(numbers.device)[numbers.long()].permute(0, 3, 1, 2)
        edges = torch.zeros_like(covered[:, :1])
        edges[:, 0, :, 1:] = (numbers[:, :, 1:] != numbers[:, :, :-1]).to(edges)
        down = (numbers[:, 1:] != numbers[:, :-1]).to(edges)
        edges[:, 0, 1:] = torch.maximum(edges[:, 0, 1:], down)
        return functional.interpolate(torch.cat([covered, edges], 1), cells, mode="area")


class SceneLayout(Encoder):
    """What the recipe's `layout` paints, for networks that learned to see such planes; zeros where it has none."""

    tells = Capabilities(layout="scene")

    def __init__(self, scene: SceneMap, space: Space) -> None:
        self.scene, self.space = scene, space

    def __call__(self, batch: Asked) -> Layout:
        cells, rows = self.space.cells(batch.size), len(batch.recipes)
        image = batch.images.get("layout")
        if image is None:
            return Layout(torch.zeros(rows, self.scene.channels, *cells))
        numbers = torch.from_numpy(self.scene.numbers(image))
        return Layout(self.scene.of(numbers[None], cells).expand(rows, -1, -1, -1))
