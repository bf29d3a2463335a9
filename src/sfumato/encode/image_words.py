"""A picture in the place of words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Text
from sfumato.encode.encoder import Asked, Encoder
from sfumato.picture import BadInput
from sfumato.recipe.capabilities import Capabilities


class ImageWords(Encoder):
    """CLIP's embedding of the reference picture as a text of one token; its unconditional branch sees zeros.

    processor: PIL pictures -> what CLIP sees. run: that, as `pixels` (N, 3, h, w) -> embeddings (N, width).
    """

    tells = Capabilities(references=1)

    def __init__(self, processor: Callable[..., Any], run: Callable[..., Tensor]) -> None:
        self.processor, self.run = processor, run

    @torch.no_grad()
    def __call__(self, batch: Asked) -> Text:
        if not batch.references:
            raise BadInput("This model paints pictures like another: give the recipe that one, as images=[picture].")
        seen = self.processor(images=batch.references[0].convert("RGB"), return_tensors="pt").pixel_values
        embeds = self.run(pixels=seen).float()[:, None].expand(len(batch.recipes), -1, -1)
        return Text(embeds, negative=Text(torch.zeros_like(embeds)))
