"""A picture as CLIP embeds it, or as a prior thinks that it would, for the decoders of unCLIP's kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from sfumato.condition import Image
from sfumato.encode.encoder import Asked, Encoder
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.recipe.capabilities import Capabilities
from sfumato.schedule import Discrete, noised

Look = Callable[[Pillow.Image], Tensor]


class ImageEmbedding(Encoder):
    """The image embedding (B, 1, width) that the stage before drew, or that of the reference picture where none ran.

    look: a picture -> (1, width), by the model's image encoder; None for a model without. empty: that of the
    unconditional branch, (1, width); zeros where not given.
    """

    follows = True

    def __init__(self, width: int, look: Look | None, empty: Tensor | None = None) -> None:
        self.width, self.look, self.empty = width, look, empty
        self.tells = Capabilities(references=int(look is not None))

    @torch.no_grad()
    def __call__(self, batch: Asked) -> Image:
        embeds = self.embeds(batch)
        return Image(embeds[:, None], None if self.empty is None else self.empty[:, None].to(embeds))

    def embeds(self, batch: Asked) -> Tensor:
        """(B, width) in float32."""
        before = batch.before
        if before is None:
            return self.seen(batch).expand(len(batch.recipes), -1)
        if before.ndim != 2 or before.shape[1] != self.width:
            raise BadInput(
                f"This decoder takes image embeddings {self.width} wide, and the stage before it gives "
                f"{' x '.join(map(str, before.shape[1:]))}: join it with the prior that it was trained with."
            )
        return before.float()

    def seen(self, batch: Asked) -> Tensor:
        """The reference picture's, (1, width)."""
        if self.look is None:
            raise BadInput(
                "This decoder paints what a prior makes of words, and none is before it: load both, as "
                "'the prior + the decoder'."
            )
        if not batch.references:
            raise BadInput("This decoder paints pictures like another: give the recipe that one, as images=[picture].")
        return self.look(batch.references[0]).float()


class PairedEmbedding(ImageEmbedding):
    """Kandinsky's: the prior gives that of the prompt, that of the negative prompt and that of nothing
    (`space.EmbeddingPairs`), and the unconditional branch is told the second, or the third where a recipe has no
    negative prompt. What is said of words is the prior's: shown a picture, the decoder reads none.

    nothing: () -> (1, width), of a model that has an image encoder.
    """

    def __init__(self, width: int, look: Look | None, nothing: Callable[[], Tensor] | None = None) -> None:
        super().__init__(width, look)
        self.tells = Capabilities(text=True) | self.tells
        self.nothing = nothing

    def seeing(self, eye: Any) -> Encoder:
        look, nothing, width = eye
        return PairedEmbedding(width, look, nothing) if self.look is None and width == self.width else self

    @torch.no_grad()
    def __call__(self, batch: Asked) -> Image:
        before = batch.before
        if before is None or before.shape[1:] not in ((2 * self.width,), (3 * self.width,)):
            embeds = self.embeds(batch)
            return Image(embeds[:, None], None if self.nothing is None else self.nothing().float()[:, None])
        said, unsaid, *nothing = before.float().split(self.width, 1)
        negative = torch.tensor([bool(recipe.negative) for recipe in batch.recipes], device=before.device)
        empty = torch.where(negative[:, None], unsaid, nothing[0]) if nothing else unsaid
        return Image(said[:, None], empty[:, None])

    def seen(self, batch: Asked) -> Tensor:
        seen = super().seen(batch)
        if any(recipe.prompt or recipe.negative for recipe in batch.recipes):
            raise BadInput("This decoder paints a picture like another or what a prior makes of words: give it one.")
        return seen


class NoisedEmbedding(ImageEmbedding):
    """Stable unCLIP's: the embedding noised to `level`, a time of `schedule`, at zero mean and unit variance; behind it
    the index of that time, in sines and cosines. Each seed has its own noise; the unconditional branch sees zeros.

    mean, std: (1, width) each.
    """

    def __init__(self, look: Look | None, mean: Tensor, std: Tensor, schedule: Discrete, level: float) -> None:
        super().__init__(mean.shape[1], look)
        self.mean, self.std, self.schedule, self.level = mean, std, schedule, level

    def embeds(self, batch: Asked) -> Tensor:
        embeds = super().embeds(batch)
        mean, std = self.mean.to(embeds), self.std.to(embeds)
        noise = KeyedNoise([recipe.seed for recipe in batch.recipes])(embeds, "image embedding")
        there = noised(self.schedule, (embeds - mean) / std, self.level, noise) * std + mean
        index = self.schedule.index(self.level).round().clamp(min=0)
        return torch.cat([there, waves(index.to(embeds), self.width).expand_as(there)], 1)


def waves(index: Tensor, width: int) -> Tensor:
    """[cos, sin] of index 10000^(-i/(width/2)), (1, width): how networks are told a time (Vaswani et al. 2017)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) / half * torch.arange(half, device=index.device))
    angles = (index * frequencies)[None]
    return torch.nn.functional.pad(torch.cat([angles.cos(), angles.sin()], 1), (0, width % 2))
