"""Where each word of a prompt is painted: the cross-attention maps of a run, or of one look at a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor
from torch.nn import functional

from sfumato.condition import Watched
from sfumato.edit import AttentionMaps
from sfumato.encode import Asked, Encoder
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import check_single
from sfumato.schedule import noised
from sfumato.space.pixels import to_images, to_tensor

if TYPE_CHECKING:
    from sfumato.model.pipe import Pipe

SIDE = 128  # of a tile, at least
LABEL = 16
DARK = 0.12  # what is left of a picture where a word does not look


@dataclass(frozen=True)
class Looked:
    """A picture, the words of its prompt and their maps (W, h, w): the shares of attention, averaged over heads, layers
    and calls. A word of several tokens has the sum of their maps; one that is said twice has two."""

    image: Image.Image
    words: tuple[str, ...]
    maps: Tensor

    def lit(self) -> list[Image.Image]:
        """The picture once for each word, lit where its map is high: the map over its own maximum."""
        size = (self.image.height, self.image.width)
        light = self.maps / self.maps.amax((1, 2), keepdim=True).clamp(min=1e-12)
        light = functional.interpolate(light[:, None], size, mode="bicubic").clamp(0, 1)
        return to_images((to_tensor([self.image]) + 1) * (DARK + (1 - DARK) * light) - 1)

    def sheet(self, columns: int = 6) -> Image.Image:
        """The picture and, word by word, what of it is lit, in rows of `columns`."""
        tiles = [("", self.image), *zip(self.words, self.lit(), strict=True)]
        zoom = -(-SIDE // max(self.image.size))
        width, height = self.image.width * zoom, self.image.height * zoom
        columns = min(columns, len(tiles))
        rows = -(-len(tiles) // columns)
        page = Image.new("RGB", (columns * width, rows * (height + LABEL)), "white")
        draw, font = ImageDraw.Draw(page), ImageFont.load_default(LABEL - 5)
        for n, (word, tile) in enumerate(tiles):
            x, y = n % columns * width, n // columns * (height + LABEL)
            page.paste(tile.resize((width, height), Image.Resampling.BICUBIC), (x, y))
            draw.text((x + width / 2, y + height + 1), word, "black", font, anchor="ma")
        return page


def look_attention(pipe: Pipe, recipe: Recipe, picture: Image.Image | None = None, t: float = 0.5) -> Looked:
    """Where the words of the recipe's prompt look: while its picture is made, or in `picture`, noised to time t.

    Maps are softmax(Q K^T / sqrt(d)) of the conditional branch (Hertz et al. 2022, section 3.1). Raises BadInput for
    a model that reads no words, a prompt without any, and a t that is not in (0, 1].
    """
    if pipe.capabilities.joint:
        raise BadInput(f"The model {pipe.name} attends to words and picture at once: no word has a map of its own.")
    if (words := pipe.adapted(pipe.with_attached(recipe.adapters)).words(recipe.prompt)) is None:
        raise BadInput(f"The model {pipe.name} reads no words that could look anywhere.")
    check_single([recipe.prompt], "each word has one map")
    said = [n for n, word in enumerate(words.words) if any(map(str.isalnum, word))]
    if not said:
        raise BadInput("The prompt has no words that could look anywhere: give one.")
    if recipe.attention is not None:
        raise BadInput("A picture that takes its maps from another has none of its own: leave the attention out.")
    if not 0 < t <= 1:
        raise BadInput(f"A picture is looked at with noise of a time above 0 and up to 1, not {t}.")
    maps = AttentionMaps()
    if picture is not None and recipe.width is None:
        recipe = replace(recipe, **dict(zip(("width", "height"), pipe.fit(*picture.size), strict=True)))
    pipe, recipe = _watched(pipe, recipe.prompt, maps), pipe.resolve(recipe)
    batch = pipe.batch([recipe])
    if picture is None:
        picture = pipe.run(recipe).image
    else:
        picture = ImageOps.fit(picture.convert("RGB"), batch.size, Image.Resampling.LANCZOS)
        at, x0 = torch.tensor(t, dtype=torch.float64), batch.encoded(picture)
        with torch.no_grad():
            batch.denoise()(noised(batch.schedule, x0, at, batch.noise(x0, "start")), at)
    marks = torch.zeros(1, len(said), maps.tokens)
    for mark, n in zip(marks[0], said, strict=True):
        mark[list(words.places[n])] = 1
    height, width = batch.like.shape[-2:]
    return Looked(picture, tuple(words.words[n] for n in said), maps.of(marks, (height, width))[0])


def _watched(pipe: Pipe, prompt: str, maps: AttentionMaps) -> Pipe:
    """The pipe, whose maps are seen whenever its network is told the prompt alone."""
    stage = pipe.stage
    watching = replace(stage, encoders=(*stage.encoders, Watching(prompt, maps)))
    return replace(pipe, stages=tuple(watching if each is stage else each for each in pipe.stages))


@dataclass(frozen=True)
class Watching(Encoder):
    """Lets `maps` see the first row, where all that is told is the prompt."""

    prompt: str
    maps: AttentionMaps

    def __call__(self, batch: Asked) -> Watched:
        alone = [recipe.prompt for recipe in batch.recipes] == [self.prompt]
        return Watched(torch.arange(1) if alone else torch.full((len(batch.recipes),), -1), self.maps)
