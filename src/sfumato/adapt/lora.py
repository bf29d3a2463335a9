"""LoRA and its kin: weights that are added to a model's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sfumato.adapt.adapter import ALWAYS, Adapter, BoundAdapter
from sfumato.adapt.blocks import Blocks, check_blocks, share
from sfumato.adapt.file import FileOf
from sfumato.element import Interval, Real, element
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import nn


@element("lora")
class LoRA(Adapter):
    """W' = W + weight (adapter(W) - W) in every layer that the file names, of what denoises and of the text encoders.

    LoRA (Hu et al. 2021), LoCon, LoHa, LoKr, (IA)^3, full differences (`sfumato.adapt.families`) and DoRA, in the
    formats of diffusers, peft, kohya, LyCORIS and cloneofsimo. `LoRA("me.safetensors") * 0.8` weighs it.

    blocks: further factors by block, as {"down.1": 0.5, "mid": 0, "text": 0.3}; the longest name that fits a layer
    counts. interval: the times (low, high), 1 noise and 0 picture, at which what denoises has it.
    """

    file: FileOf = Field(description="a file of weights: a path, or a file from open_file()")
    weight: Real = Field(default=1.0, ge=-10, le=10, description="a number from -10 to 10")
    blocks: Blocks = Field(default=(), description="weights by block, as {'down.1': 0.5, 'text': 0}")
    interval: Interval = ALWAYS

    @classmethod
    def holds(cls, keys: Collection[str], other: Any = None) -> bool:
        from sfumato.adapt.layers import layers_in

        return bool(layers_in(keys))

    def __mul__(self, weight: float) -> LoRA:
        return replace(self, weight=self.weight * weight)

    __rmul__ = __mul__

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        from sfumato.adapt.layers import changes, word_keys
        from sfumato.adapt.read import PEFTS, contents, with_config

        check_blocks(self.blocks, networks)
        name, found = printable(self.file.name, 60), with_config(contents(self.file), self.file)
        words: dict[str, list] = {}
        for key, word in word_keys(found).items():
            vectors = found.tensors[key]
            words.setdefault(word, []).append(vectors[None] if vectors.ndim == 1 else vectors)
        own = changes(found, networks, name)
        if PEFTS in found.header and any(each.family.alpha_counts(each.tensors) for each in own):
            raise BadInput(
                f"The alpha of {name} stands in another file, {PEFTS}, which a recipe doesn't know of: write both into "
                "one with `sfumato convert --to diffusers`."
            )
        return BoundAdapter(
            name,
            own,
            lambda part, layer: self.weight * share(self.blocks, part, layer),
            words=words,
            interval=self.interval,
        )
