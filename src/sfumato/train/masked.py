"""What an inpainting network is trained on beside latents: masks and latents of masked pictures, computed once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sfumato.data import masks as drawn
from sfumato.encode.masked_picture import masked_planes
from sfumato.space import Latent

from . import cache
from . import recipe as r
from .encodings import fingerprint
from .source import Source
from .tasks import Place


def masks(data: object, size: int, seed: int, each: int, rows: range) -> Tensor:
    """Masks of the pictures `rows`, `each` of them after one another: (len(rows) * each, 1, S, S), 1 = hidden.

    Of vignettes some are shaped by the things in the picture.
    """
    many = [drawn.draw(seed, row * each + k, size, _things(data, row, size)) for row in rows for k in range(each)]
    return torch.from_numpy(np.stack(many)[:, None]).float()


def _things(data: object, row: int, size: int) -> drawn.Things | None:
    if not isinstance(data, r.Vignettes):
        return None
    from sfumato.data import vignettes

    return partial(drawn.things, vignettes.scene(data.seed, data.first + row, data.split), size)


def planes(source: Source, recipe: r.Inpaint, space: Latent, folder: Path, place: Place) -> np.ndarray:
    """`masked_planes` of `each` masks a picture, float16 (n * each, 1 + C, h, w); picture i's begin at i * each."""
    each, size = recipe.masks.each, source.pictures.shape[1]

    def encode(start: int, stop: int) -> Tensor:
        hidden = masks(recipe.data, size, recipe.seed, each, range(start, stop)).to(place.device)
        pictures = source.batch(np.arange(start, stop)).repeat_interleave(each, 0).to(place.device)
        with torch.no_grad(), place.autocast():
            return masked_planes(space, pictures, hidden).float().cpu()

    def compute(spans: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for start, stop in spans:
            yield start, {"planes": encode(start // each, stop // each).numpy().astype(np.float16)}

    code = Path(drawn.__file__).read_text(encoding="utf-8")
    key = r.digest(source.key, fingerprint(folder), place.low, recipe.seed, each, code)
    shape = {"planes": (tuple(encode(0, 1).shape[1:]), np.float16)}
    return cache.arrays(place.cache, "masked", key, shape, compute, len(source) * each, 64 * each)["planes"]
