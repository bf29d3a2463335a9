"""A CLIP whose image tower sees noisy pictures (Nichol et al. 2022, GLIDE, section 2.4), beside the clean one.

GLIDE noises pixels, for it diffuses pixels. A latent model's tower sees noised latents: what x_t is there, without
a decoder before each gradient. Both towers of the clean CLIP stay as they are, so that captions keep their place in the
space. A Stable Diffusion folder does not hold the projection of its text tower; it is fitted here to the clean image
tower, which makes the folder's CLIP whole again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nf
from torch import Tensor, nn

from sfumato.model.clip import WAVES, with_level
from sfumato.picture import BadInput
from sfumato.schedule import noised
from sfumato.schedule.named import named

from .. import cache, keyed
from .. import recipe as r
from ..encodings import fingerprint, latents, part
from ..source import Source, open_sources
from ..tokens import encode, save_tokenizer
from . import DTYPES, SHARD, Place, Task, hush
from .clip import info_nce

COLDEST = 4.6052  # of log inverse temperatures: 100, CLIP's own bound


class Towers(nn.Module):
    """A CLIPModel with the new image tower and the fixed text tower, and the clean CLIP's inverse temperature."""

    def __init__(self, text: Any, clean: Any, shape: r.NoisedClip, channels: int, cells: int, noise: dict[str, Any]):
        from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig

        super().__init__()
        tower = shape.image
        image = CLIPVisionConfig(
            hidden_size=tower.width,
            intermediate_size=4 * tower.width,
            num_hidden_layers=tower.layers,
            num_attention_heads=tower.heads,
            projection_dim=clean.config.projection_dim,
            num_channels=channels + 2 * WAVES,
            image_size=cells,
            patch_size=shape.patch,
        )
        config = CLIPConfig(
            text_config=text.config.to_dict(),
            vision_config=image.to_dict(),
            projection_dim=clean.config.projection_dim,
        )
        config.noise = {"schedule": noise, "channels": channels}
        self.clip = CLIPModel(config)
        self.clip.text_model.load_state_dict(text.state_dict())
        self.clip.text_model.requires_grad_(False)
        self.clip.vision_model.load_state_dict(_beginning(self.clip.vision_model, clean.vision_model), strict=False)
        self.clip.visual_projection.load_state_dict(clean.visual_projection.state_dict())
        self.clean_scale = nn.Parameter(self.clip.logit_scale.detach().clone())

    def forward(self, planes: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of noisy pictures with their planes, and of captions, (B, D) each."""
        image = self.clip.visual_projection(self.clip.vision_model(pixel_values=planes).pooler_output)
        return nf.normalize(image.float(), dim=-1), nf.normalize(self.clip.text_projection(pooled).float(), dim=-1)


def _beginning(new: nn.Module, trained: nn.Module) -> dict[str, Tensor]:
    """The weights of the clean tower that fit the new one: all but the patch embedding where the shapes agree."""
    there = new.state_dict()
    return {k: v for k, v in trained.state_dict().items() if k in there and there[k].shape == v.shape}


class NoisedClipTask(Task):
    def __init__(self, recipe: r.NoisedClip, place: Place):
        from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

        super().__init__()
        hush("diffusers", "transformers")
        self.recipe, self.place = recipe, place
        folders = [part(recipe.clip, name, "mini-clip") for name in ("text_encoder", "image_encoder", "tokenizer")]
        text: Any = CLIPTextModel.from_pretrained(folders[0], dtype=torch.float32)
        clean: Any = CLIPVisionModelWithProjection.from_pretrained(folders[1], dtype=torch.float32)
        self.tokenizer = CLIPTokenizer.from_pretrained(folders[2])
        if clean.config.image_size != recipe.data.size:
            raise BadInput(
                f"data.size must be {clean.config.image_size}, the size of the pictures that {folders[1]} sees"
            )
        for network in (text, clean):
            network.to(place.device).eval().requires_grad_(False)
        self.fixed = {"text": text, "clean": clean}  # in a dictionary: no submodules, neither trained nor saved
        self.train_set, self.test_set = open_sources(recipe.data, recipe.held_back, place.cache, recipe.workers)
        key = [fingerprint(folder) for folder in folders]
        self.key = r.digest(self.train_set.key, key, str(recipe.autoencoder))
        self.train_rows, self.test_rows = (self._rows(source, key) for source in (self.train_set, self.test_set))
        noise = recipe.schedule.model_dump(exclude_none=True)
        self.schedule = named(**noise)
        _, channels, cells, _ = self.train_rows["x"].shape
        self.network = Towers(text, clean, recipe, channels, cells, noise)

    def __len__(self) -> int:
        return len(self.train_set)

    def inputs(self) -> str:
        return self.key

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """InfoNCE of noisy pictures and captions, the same of clean ones (which fits the text's projection), and
        likeness (1 - cos) of the noisy picture's vector to the clean one's; t uniform in [0, 1]."""
        recipe = self.recipe
        which = [keyed.choice(recipe.paraphrases, recipe.seed, "caption", step, int(i)) for i in indices]
        x, clean, said = self._batch(self.train_rows, indices, which)
        t = torch.rand(len(indices), generator=generator, dtype=torch.float64)
        noisy, text = self._answer(x, said, t, torch.randn(x.shape, generator=generator))
        same = (said[:, None] == said[None]).all(-1)
        scales = [s.clamp(max=COLDEST).exp() for s in (self.network.clip.logit_scale, self.network.clean_scale)]
        near = (noisy * clean).sum(-1)
        loss = info_nce(noisy, text, scales[0], same) + info_nce(clean, text, scales[1], same)
        right = (text @ noisy.T).argmax(1) == torch.arange(len(x), device=x.device)
        told = {"accuracy": right.float().mean(), "likeness": near.detach().mean(), "scale": scales[0].detach()}
        return loss + recipe.likeness * (1 - near).mean(), told

    def _answer(self, x: Tensor, pooled: Tensor, t: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        planes = with_level(noised(self.schedule, x, t, noise.to(x)), *self.schedule(t))
        return self.network(planes, pooled)

    def _batch(self, rows: dict[str, Any], indices: np.ndarray, which: Any) -> tuple[Tensor, Tensor, Tensor]:
        """What is noised, the clean tower's unit vectors, and the text tower's pooled states of one caption each."""
        arrays = rows["x"][indices], rows["clean"][indices], rows["text"][rows["said"][indices, which]]
        x, clean, text = (torch.from_numpy(np.asarray(a)).float().to(self.place.device) for a in arrays)
        return x * rows["scale"], nf.normalize(clean, dim=-1), text

    def _rows(self, source: Source, key: list[str]) -> dict[str, Any]:
        """Everything that the fixed parts say, computed once."""
        p = self.recipe.paraphrases
        said = [[c[k % len(c)] for k in range(p)] for c in source.captions]
        texts = list(dict.fromkeys(text for row in said for text in row))
        number = {text: i for i, text in enumerate(texts)}
        x, scale = self._pictures(source)
        return {
            "x": x,
            "scale": scale,
            "said": np.array([[number[text] for text in row] for row in said]),
            "text": self._kept("texts", r.digest(key, texts), partial(self._said, texts), len(texts)),
            "clean": self._kept("clean", r.digest(key, source.key), partial(self._seen, source), len(source)),
        }

    def _kept(self, name: str, key: str, answer: Callable[[int, int], Tensor], n: int) -> np.ndarray:
        def compute(spans: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
            for start, stop in spans:
                with torch.no_grad(), self.place.autocast():
                    yield start, {name: answer(start, stop).float().cpu().numpy().astype(np.float16)}

        with torch.no_grad():
            shape = {name: (tuple(answer(0, 1).shape[1:]), np.float16)}
        return cache.arrays(self.place.cache, f"clip-{name}", r.digest(key, self.place.low), shape, compute, n)[name]

    def _said(self, texts: list[str], start: int, stop: int) -> Tensor:
        ids = encode(self.tokenizer, texts[start:stop])
        longest = int((ids != self.tokenizer.eos_token_id).sum(1).max()) + 1  # attention is causal: padding is idle
        return self.fixed["text"](ids[:, :longest].to(self.place.device)).pooler_output

    def _seen(self, source: Source, start: int, stop: int) -> Tensor:
        return self.fixed["clean"](source.batch(np.arange(start, stop)).to(self.place.device)).image_embeds

    def _pictures(self, source: Source) -> tuple[np.ndarray, float]:
        """What is noised, and what it is multiplied by."""
        if self.recipe.autoencoder is None:
            return source.batch(np.arange(len(source))).numpy().astype(np.float16), 1.0
        from diffusers import AutoencoderKL

        folder = part(self.recipe.autoencoder, "vae", "mini-autoencoder")
        vae: Any = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)
        vae.to(self.place.device).eval().requires_grad_(False)
        return latents(source, vae, folder, self.place), float(vae.config.scaling_factor)

    def finish(self, export: Path) -> dict[str, float]:
        """Saves clip_noised/ and clip/, two CLIPModels with their tokenizer; recall of held-back captions' pictures."""
        from transformers import CLIPConfig, CLIPModel

        dtype = DTYPES[self.recipe.export]
        ours: Any = copy.deepcopy(self.network.clip)
        clean = self.fixed["clean"]
        config = CLIPConfig(
            text_config=ours.config.text_config.to_dict(),
            vision_config=clean.config.to_dict(),
            projection_dim=clean.config.projection_dim,
        )
        whole = CLIPModel(config)
        whole.text_model.load_state_dict(ours.text_model.state_dict())
        whole.text_projection.load_state_dict(ours.text_projection.state_dict())
        whole.vision_model.load_state_dict(clean.vision_model.state_dict())
        whole.visual_projection.load_state_dict(clean.visual_projection.state_dict())
        scales = {"clip": self.network.clean_scale, "clip_noised": self.network.clip.logit_scale}
        for name, network in {"clip": whole, "clip_noised": ours}.items():
            network.logit_scale.data = scales[name].detach().clamp(max=COLDEST).to(network.logit_scale.device)
            network.to(dtype).save_pretrained(export / name, max_shard_size=SHARD)
            save_tokenizer(self.tokenizer, export / name)
        return self._recall()

    @torch.no_grad()
    def _recall(self) -> dict[str, float]:
        """Recall at 1 of captions among the held-back pictures at six times, and by the clean tower."""
        n = len(self.test_set)
        x, clean, said = self._batch(self.test_rows, np.arange(n), np.zeros(n, int))
        same = (said[:, None] == said[None]).all(-1)
        figures, generator = {"pictures_held_back": float(n)}, keyed.generator("measure")
        for t in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9):
            times, noise = torch.full((n,), t, dtype=torch.float64), torch.randn(x.shape, generator=generator)
            pairs = [self._answer(*(a[i : i + 128] for a in (x, said, times, noise))) for i in range(0, n, 128)]
            noisy, text = (torch.cat(side) for side in zip(*pairs, strict=True))
            for name, image in ({f"recall_t{t:g}": noisy} | ({"recall_clean": clean} if t == 0 else {})).items():
                figures[name] = float(same.gather(1, (text @ image.T).argmax(1)[:, None]).float().mean())
        return figures
