"""IP-Adapter: Ye et al. 2023, "IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models".

Cross-attention gets keys and values of its own for a picture, Z = Attn(Q, K, V) + Attn(Q, K', V') (eq. 5), made of four
tokens that a linear layer and a norm make of a CLIP's embedding. They and the layer are learned, on pictures shown
themselves; the base and the image encoder stay as they are. K' and V' begin as the text's own. The export is one
ip_adapter.safetensors in the names that diffusers reads, and image_encoder/.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sfumato.condition import Condition, ImagePrompts, Part
from sfumato.data.dataset import Dataset
from sfumato.formats.image_encoder import image_encoder
from sfumato.network.attention_directives import cross_attention
from sfumato.network.image_prompts import ImagePrompt
from sfumato.network.writing import save_tensors
from sfumato.train.dropping import Dropout
from sfumato.train.encodings import encoded, fingerprint, part
from sfumato.train.task import DTYPES, register
from sfumato.train.tasks.frozen_base import FrozenBaseTask, OnFrozenBase

TOKENS = 4
"""How many a picture is: what diffusers takes for granted of an adapter with a linear layer."""


class IPAdapterRecipe(OnFrozenBase):
    """`image_encoder` is the folder of a CLIPVisionModelWithProjection, or of a model that has one; the base's own
    without it."""

    task: Literal["ip-adapter"]
    image_encoder: Path | None = None
    dropout: Dropout = Dropout()  # type: ignore[assignment]


@register
class IPAdapterTask(FrozenBaseTask):
    section = IPAdapterRecipe

    def make(self, base: Any) -> Decoupled:
        self.eye = part(self.recipe.image_encoder or self.recipe.base, "image_encoder", "mini-clip")
        encoder, _ = image_encoder(self.eye, "CLIPVisionModelWithProjection")
        return Decoupled(base, int(encoder.config.projection_dim)).to(self.place.device)

    def shown(self) -> Sequence[tuple[np.ndarray, np.ndarray]]:
        """The CLIP's embeddings of the pictures themselves."""
        return [(self._embeds(self.train_set), self._embeds(self.test_set))]

    def _embeds(self, source: Dataset) -> np.ndarray:
        encoder, process = image_encoder(self.eye, "CLIPVisionModelWithProjection")

        def encode(start: int, stop: int) -> Tensor:
            pictures = [Image.fromarray(picture) for picture in source.pictures[start:stop]]
            return encoder(process(pictures, return_tensors="pt").pixel_values).image_embeds

        of = source.key, fingerprint(self.eye)
        return encoded(self.place, "image-embeds", "embeds", of, encode, len(source), 256)

    def tells_words(self) -> bool:
        return self.recipe.dropout.words + self.recipe.dropout.both < 1

    def dropped(self, n: int, generator: torch.Generator) -> Tensor:
        return self.recipe.dropout.without_words(n, generator)

    def condition(self, rows: np.ndarray, which: list[int], dropped: Tensor, generator: torch.Generator) -> Condition:
        """Besides the caption the picture, or the embedding of none where it is left out."""
        told = super().condition(rows, which, dropped, generator)
        looked, blank = told.get(ImagePrompts), self.recipe.dropout.without_picture(dropped, generator)
        return told if looked is None else told.adding(replace(looked, empty=blank))

    def control(self, shown: Tensor, kind: int) -> Part:
        embeds = shown.float()
        tokens, empty = self.network.tokens(embeds), self.network.tokens(torch.zeros_like(embeds[:1]))
        prompt = OfEach(tokens, empty, self.network.layers(self.backbone.network))
        return ImagePrompts(torch.ones(len(embeds), 1), (prompt,), ((0.0, 1.0),))

    def save(self, export: Path) -> None:
        weights = {k: v.detach().to(DTYPES[self.recipe.export]).cpu() for k, v in self.network.state_dict().items()}
        save_tensors(weights, export / "ip_adapter.safetensors")
        shutil.copytree(self.eye, export / "image_encoder")


class Decoupled(nn.Module):
    """image_proj: (B, D) to tokens (B, 4, W). ip_adapter: keys and values for each module of cross-attention, by its
    number among all modules of attention."""

    def __init__(self, base: Any, width: int):
        super().__init__()
        text = int(base.config["cross_attention_dim"])
        self.image_proj = nn.ModuleDict({"proj": nn.Linear(width, TOKENS * text), "norm": nn.LayerNorm(text)})
        self.ip_adapter = nn.ModuleDict()
        for number, module in numbered(base).values():
            layers = {f"to_{which}_ip": nn.Linear(text, module.to_k.out_features, bias=False) for which in "kv"}
            layers["to_k_ip"].weight.data.copy_(module.to_k.weight)
            layers["to_v_ip"].weight.data.copy_(module.to_v.weight)
            self.ip_adapter[str(number)] = nn.ModuleDict(layers)

    def tokens(self, embeds: Tensor) -> Tensor:
        proj, norm = self.image_proj["proj"], self.image_proj["norm"]
        return norm(proj(embeds).unflatten(-1, (TOKENS, -1)))

    def layers(self, base: Any) -> dict[str, tuple[Tensor, Tensor]]:
        """(W_K, W_V) by the names of the base's modules."""
        found = {name: self.ip_adapter[str(number)] for name, (number, _) in numbered(base).items()}
        return {name: (layer["to_k_ip"].weight, layer["to_v_ip"].weight) for name, layer in found.items()}  # type: ignore[index]


def numbered(base: Any) -> dict[str, tuple[int, Any]]:
    """The modules of cross-attention by name, and their numbers among all modules of attention, as files have them."""
    order = {name.removesuffix(".processor"): number for number, name in enumerate(base.attn_processors)}
    return {name: (order[name], module) for name, module in cross_attention(base).items()}


@dataclass(frozen=True, eq=False)
class OfEach(ImagePrompt):
    """A picture of its own for each row: tokens (B, L, D); each branch of a guidance has all B."""

    def __call__(self, name: str, module: Any, hidden: Tensor, empty: Tensor) -> Tensor:
        rows = self.tokens.repeat(len(hidden) // len(self.tokens), 1, 1)
        plain = ImagePrompt(rows, self.empty, self.layers, self.mask)
        return plain(name, module, hidden, empty)
