"""A small CLIP (Radford et al. 2021): two towers, InfoNCE, and the text encoder that conditions the U-Net."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as nf
from pydantic import Field, model_validator
from torch import Tensor

from sfumato.data.dataset import Dataset
from sfumato.element.section import Few, Section, Width
from sfumato.formats.write import save_network, save_tokenizer
from sfumato.network.clip_model import IMAGE_TOWER, TEXT_TOWER
from sfumato.network.engine import Eager
from sfumato.train import report, rng
from sfumato.train.hyperparameters import Common, HeldBack, Stored
from sfumato.train.task import DTYPES, PictureTask, Place, batches, hush, register
from sfumato.train.tokens import encode, train_tokenizer, without_padding

COLDEST = 4.6052  # of log inverse temperatures: 100, CLIP's own bound


class Tower(Section):
    width: Width = 192
    layers: Few = 4
    heads: Few = 4

    @model_validator(mode="after")
    def _divides(self) -> Tower:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} can't be split into {self.heads} heads: choose a multiple")
        return self


class ClipNetwork(Section):
    text: Tower = Tower()
    image: Tower = Tower()
    patch: Few = 8
    projection: Width = 128
    length: Annotated[int, Field(ge=8, le=77)] = 48
    vocabulary: Annotated[int, Field(ge=600, le=1_000_000)] = 2048


def tower(shape: Tower, projection: int) -> dict[str, Any]:
    """The fields of a CLIPTextConfig or a CLIPVisionConfig that say the shape of a transformer."""
    return {
        "hidden_size": shape.width,
        "intermediate_size": 4 * shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "projection_dim": projection,
    }


def clip_of(text: Any, image: Any) -> Any:
    """transformers' CLIPModel of two towers' configs."""
    from transformers import CLIPConfig, CLIPModel

    return CLIPModel(
        CLIPConfig(text_config=text.to_dict(), vision_config=image.to_dict(), projection_dim=image.projection_dim)
    )


def clip_network(shape: ClipNetwork, tokenizer: Any, size: int) -> Any:
    """transformers' CLIPModel of that shape, with the tokenizer's true ids.

    An `eos_token_id` of 2, the default of old configs, would pool the text at its largest id instead of at its end.
    """
    from transformers import CLIPTextConfig, CLIPVisionConfig

    ids: dict[str, Any] = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    text = CLIPTextConfig(
        **tower(shape.text, shape.projection),
        vocab_size=len(tokenizer),
        max_position_embeddings=shape.length,
        **{f"{name}_token_id": i for name, i in ids.items()},
    )
    image = CLIPVisionConfig(**tower(shape.image, shape.projection), image_size=size, patch_size=shape.patch)
    return clip_of(text, image)


def temperature(logarithm: Tensor) -> Tensor:
    """The inverse temperature of its logarithm, at most 100: Radford et al. 2021, section 2.5."""
    return logarithm.clamp(max=COLDEST).exp()


def info_nce(image: Tensor, text: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE (Radford et al. 2021, fig. 3) of unit vectors (B, D) at inverse temperature `scale`.

    `same` (B, B) is true where two rows carry the same caption: those share the target equally instead of being pushed
    apart (Khosla et al. 2020). With all captions different it is the usual cross-entropy against the diagonal.
    """
    logits = scale * text @ image.T
    target = same.float() / same.sum(1, keepdim=True)
    return (nf.cross_entropy(logits, target) + nf.cross_entropy(logits.T, target)) / 2


class ClipRecipe(Common):
    task: Literal["clip"]
    network: ClipNetwork = ClipNetwork()
    paraphrases: Few = 4
    held_back: HeldBack = 512
    export: Stored = "float32"


@register
class ClipTask(PictureTask):
    section = ClipRecipe

    def __init__(self, recipe: ClipRecipe, place: Place):
        super().__init__(recipe, place, recipe.held_back)
        hush("transformers")
        shape = recipe.network
        self.train_set.need_captions()
        said = chain.from_iterable(self.train_set.captions)
        self.tokenizer = train_tokenizer(said, shape.vocabulary, shape.length)
        self.ids = self._ids(self.train_set)
        self.network = clip_network(shape, self.tokenizer, recipe.data.size)
        self.image, self.text = (Eager().prepare(self.network, spec) for spec in (IMAGE_TOWER, TEXT_TOWER))

    def _ids(self, source: Dataset) -> Tensor:
        """Token ids of the first paraphrases of every picture, (N, P, L); a picture with fewer repeats its own."""
        p = self.recipe.paraphrases
        flat = [c[k % len(c)] for c in source.captions for k in range(p)]
        return encode(self.tokenizer, flat).to(torch.int32).reshape(len(source), p, -1)

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        which = [rng.choice(self.recipe.paraphrases, self.recipe.seed, "caption", step, int(i)) for i in indices]
        ids = self.ids[torch.as_tensor(indices), torch.tensor(which)].to(self.place.device)
        image, text = self.embed(self.train_set.batch(indices), ids)
        scale = temperature(self.network.logit_scale)
        same = (ids[:, None] == ids[None]).all(-1)
        loss = info_nce(image, text, scale, same)
        found = (text @ image.T).argmax(1) == torch.arange(len(ids), device=ids.device)
        return loss, {"accuracy": found.float().mean(), "scale": scale.detach()}

    def embed(self, pictures: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of pictures and of texts."""
        image = self.image(pixels=pictures.to(self.place.device))
        text = self.text(ids=without_padding(self.tokenizer, ids).long())
        return nf.normalize(image.float(), dim=-1), nf.normalize(text.float(), dim=-1)

    @torch.no_grad()
    def _embed_test(self) -> tuple[Tensor, Tensor, Tensor]:
        ids = self._ids(self.test_set)[:, 0].to(self.place.device)
        parts = []
        for rows in batches(len(ids), 128):
            parts.append(self.embed(self.test_set.batch(rows), ids[rows]))
        image, text = (torch.cat(p) for p in zip(*parts, strict=True))
        return image, text, ids

    def grids(self) -> dict[str, np.ndarray]:
        """For eight captions of held-back pictures: the true picture, then the five that the network finds nearest."""
        image, text, _ = self._embed_test()
        rows = []
        for i in range(min(8, len(text))):
            rows += [i, *(text[i] @ image.T).topk(min(5, len(image))).indices.tolist()]
        return {"retrieval": report.grid(self.test_set.pictures[rows], len(rows) // min(8, len(text)))}

    def finish(self, export: Path) -> dict[str, float]:
        """Saves tokenizer/, text_encoder/, image_encoder/ and clip/; measures retrieval of held-back pictures."""
        from transformers import CLIPTextModel, CLIPVisionModelWithProjection

        whole = self.network
        text = CLIPTextModel(whole.config.text_config)
        text.load_state_dict(whole.text_model.state_dict())
        image = CLIPVisionModelWithProjection(whole.config.vision_config)
        image.vision_model.load_state_dict(whole.vision_model.state_dict())
        image.visual_projection.load_state_dict(whole.visual_projection.state_dict())
        for name, network in {"clip": whole, "text_encoder": text, "image_encoder": image}.items():
            save_network(network, export / name, DTYPES[self.recipe.export])
        for name in ("clip", "tokenizer"):
            save_tokenizer(self.tokenizer, export / name)
        return self._retrieval()

    def _retrieval(self) -> dict[str, float]:
        """Recall at 1 and 5, each way; a picture with the very same caption counts as found."""
        image, text, ids = self._embed_test()
        same = (ids[:, None] == ids[None]).all(-1)
        similar = text @ image.T
        figures = {"pictures_held_back": float(len(ids))}
        for way, scores in {"text_to_image": similar, "image_to_text": similar.T}.items():
            for k in (1, 5):
                top = scores.topk(min(k, len(ids)), 1).indices
                figures[f"{way}_recall_{k}"] = float(same.gather(1, top).any(1).float().mean())
        return figures
