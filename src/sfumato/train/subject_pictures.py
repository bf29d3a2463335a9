"""A subject's pictures as personalization shows them: cut, captioned, mirrored where no caption speaks of a side, and
how much each of their places counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from sfumato.data.buckets import Buckets
from sfumato.data.dataset import Dataset, turnable
from sfumato.data.folder import SUFFIXES
from sfumato.picture import BadInput, open_mask
from sfumato.progress import say
from sfumato.train.task import Place

Templates = Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
Size = tuple[int, int]


def named(templates: Sequence[str], name: str) -> list[str]:
    """Templates of captions with `name` in the place of {}."""
    return [template.replace("{}", name) for template in templates]


class SubjectPictures:
    """The pictures of `recipe.data` in parts of one shape each; `mirrored` says of each part which of its first
    pictures are beside themselves mirrored, at its end."""

    def __init__(self, recipe: Any, side: int, multiple: int, place: Place) -> None:
        self.recipe = recipe
        data = recipe.data.model_copy(update={"size": side})
        if recipe.buckets:
            found = data.buckets(multiple, place.cache, recipe.workers)
        else:
            found = (data.open(0, place.cache, recipe.workers)[0],)
        said = [each for part in found for each in part.captions]
        self.plain = named(recipe.captions, recipe.subject)
        none = sum(not any(each.strip() for each in captions) for captions in said)
        if 0 < none < len(said):
            say(
                f"{none} of {len(said)} pictures have no caption in {found[0].words}: they are called {self.plain[0]!r}"
            )
        told = [replace(part, captions=[self._captions(own) for own in part.captions]) for part in found]
        captions = [each for part in told for each in part.captions]
        turned = turnable(captions, [recipe.flip] * len(captions), "flip")
        self.mirrored = np.split(turned, np.cumsum([len(part) for part in told])[:-1])
        parts = zip(told, self.mirrored, strict=True)
        self.masks = {} if recipe.masks is None else _masks(recipe, {name for part in found for name in part.names})
        self.pictures = Buckets(tuple(part.beside_mirrored(each) if each.any() else part for part, each in parts))

    def _captions(self, own: Sequence[str]) -> list[str]:
        return [each for each in own if each.strip()] or self.plain

    def need(self, word: str) -> None:
        """Raises BadInput where no caption says the word that is to be learnt."""
        if not any(word.lower() in each.lower() for said in self.pictures.captions for each in said):
            raise BadInput(
                f"no caption says {word!r}, the word that is to be learnt: put it into them, as `sfumato caption` does"
            )

    def distinct(self) -> list[np.ndarray]:
        """The pictures without those that are mirrored or come again."""
        parts = zip(self.pictures.parts, self.mirrored, strict=True)
        found = [each for part, turned in parts for each in part.pictures[: len(turned)]]
        return list({each.tobytes(): each for each in found}.values())

    def counts(self, latents: Sequence[Tensor]) -> list[Tensor]:
        """How much each cell of each picture counts, (n, 1, h, w) a part: the share of it that its mask, white where it
        counts, leaves."""
        return [self._counts(*each) for each in zip(self.pictures.parts, latents, self.mirrored, strict=True)]

    def _counts(self, part: Dataset, latents: Tensor, mirrored: np.ndarray) -> Tensor:
        rows, _, *cells = latents.shape
        if not self.masks:
            return torch.ones(rows, 1, *cells)
        found = torch.stack([_mask(self.masks.get(name), size_of(part)) for name in part.names])
        found[len(mirrored) :] = found[len(mirrored) :].flip(-1)
        return functional.adaptive_avg_pool2d(found, (cells[0], cells[1]))

    def about(self) -> str:
        """How many there are, how they are cut, and how many have captions of their own."""
        own = sum(not set(said) <= set(self.plain) for said in self.pictures.captions)
        masked = sum(name in self.masks for part in self.pictures.parts for name in part.names)
        masks = f", {masked} with a mask" if self.masks else ""
        return f"{len(self.pictures)} pictures, cut to {self._cut()}, {own} of them with captions of their own{masks}"

    def _cut(self) -> str:
        parts = self.pictures.parts
        shapes = [f"{each[0]} x {each[1]}" for each in map(size_of, parts)]
        if len(parts) > 1:
            shapes = [f"{shape} ({len(part)})" for shape, part in zip(shapes, parts, strict=True)]
        most = max((each for part in parts for each in part.lost), default=0.0)
        lost = f" (up to {100 * most:.0f} % of a picture is lost)" if most >= 0.005 else ""
        return ", ".join(shapes) + lost

    def first(self, most: int) -> np.ndarray:
        """The first pictures, (n, H, W, 3), laid on grey where they differ in shape."""
        found = [each for part in self.pictures.parts for each in part.pictures[:most]][:most]
        side = max(max(each.shape[:2]) for each in found)
        if len({each.shape for each in found}) == 1:
            return np.stack(found)
        return np.stack([np.asarray(ImageOps.pad(Image.fromarray(each), (side, side), color="grey")) for each in found])


def _masks(recipe: Any, names: AbstractSet[str]) -> dict[str, Path]:
    """The masks of the recipe's folder by the names of their pictures. Raises BadInput where it has none for any."""
    folder: Path = recipe.masks
    if recipe.data.kind != "folder":
        raise BadInput("masks: they go by the names of a folder's pictures: data.kind must be folder")
    if not folder.is_dir():
        raise BadInput(f"masks: there is no folder {folder}")
    found = {each.stem: each for each in sorted(folder.iterdir()) if each.suffix.lower() in SUFFIXES}
    if not names & found.keys():
        raise BadInput(f"masks: {folder} has no picture called as one of those that are learnt, as {min(names)}.png")
    return found


def _mask(path: Path | None, size: Size) -> Tensor:
    """(1, H, W): a picture's mask, cut as the picture is; white where there is none."""
    if path is None:
        return torch.ones(1, *reversed(size))
    mask = np.asarray(ImageOps.fit(open_mask(path), size, Image.Resampling.BILINEAR), np.float32) / 255
    if not mask.any():
        raise BadInput(f"masks: {path.name} is black everywhere: white is where the picture counts")
    return torch.from_numpy(mask)[None]


def size_of(part: Dataset) -> Size:
    """(width, height) of its pictures."""
    return part.pictures.shape[2], part.pictures.shape[1]


def multiple_of_sides(stage: Any, size: int) -> int:
    """What the sides of buckets are multiples of: an eighth of the side or a little more, of so many cells that a
    U-Net can halve them at each of its levels."""
    config: Any = getattr(stage.networks.get(stage.painter), "config", None) or {}
    halvings = max(len(config.get("block_out_channels") or ()) - 1, 0) if stage.painter == "unet" else 0
    grid = math.lcm(stage.multiple, stage.space.factor * 2**halvings)
    return -(-size // (8 * grid)) * grid
