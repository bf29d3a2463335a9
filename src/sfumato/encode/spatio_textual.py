"""Words where they hold -> planes of embeddings beside the noise (Avrahami et al. 2023, "SpaText", section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from sfumato.condition import Layout
from sfumato.encode.clip import Clip
from sfumato.encode.encoder import Asked, Encoder
from sfumato.recipe.capabilities import Capabilities
from sfumato.recipe.prompt import plan_of
from sfumato.region import SpatioTextual
from sfumato.region.region import shares_of
from sfumato.space import Space


class SpatioTextualLayout(Encoder):
    """The spatio-textual map of the recipe's regions (B, D, h, w): each region filled with the image embedding that a
    prior makes of its words' embedding, zeros elsewhere (section 3.1). Pixels of several regions have their mean.

    The network learned it from segments of pictures, filled with those segments' own CLIP embeddings. clip: whose D.
    weight (D, D), bias (D,): the prior, a linear map of text embeddings to those of segments.
    """

    tells = Capabilities(layout="spatio-textual")

    def __init__(self, clip: Clip, weight: Tensor, bias: Tensor, space: Space) -> None:
        self.clip, self.weight, self.bias, self.space = clip, weight, bias, space

    def __call__(self, batch: Asked) -> Layout:
        (height, width), recipe, rows = self.space.cells(batch.size), batch.recipes[0], len(batch.recipes)
        nothing = torch.zeros(rows, len(self.bias), height, width)
        if not recipe.regions or not isinstance(recipe.regional, SpatioTextual):
            return Layout(nothing)
        shares = shares_of(batch, recipe.regions)
        if not shares:
            return Layout(nothing)
        maps = functional.interpolate(torch.stack(list(shares.values()))[:, None], (height, width), mode="area")[:, 0]
        planes = torch.einsum("khw,kd->dhw", maps, self.embedded(list(shares)))
        return Layout(planes.expand(rows, -1, -1, -1))

    def embedded(self, words: Sequence[str]) -> Tensor:
        """What the network is shown of so many words, (K, D)."""
        said = [plan_of(each, 1).caption for each in words]  # without weights, which one vector has no place for
        text = functional.normalize(self.clip.text(said).cpu(), dim=-1)
        return scaled(text @ self.weight.T + self.bias)


def scaled(embeddings: Tensor) -> Tensor:
    """Embeddings (..., D) as planes hold them: of length sqrt(D), so that their numbers are of size 1."""
    return functional.normalize(embeddings, dim=-1) * embeddings.shape[-1] ** 0.5
