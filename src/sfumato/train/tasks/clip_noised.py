"""A CLIP whose image tower sees noisy pictures (Nichol et al. 2022, GLIDE, section 2.4), beside the clean one.

GLIDE noises pixels, for it diffuses pixels. A latent model's tower sees noised latents: what x_t is there, without
a decoder before each gradient. Both towers of the clean CLIP stay as they are, so that captions keep their place in the
space. A Stable Diffusion folder does not hold the projection of its text tower; it is fitted here to the clean image
tower, which makes the folder's CLIP whole again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as nf
from pydantic import Field
from torch import Tensor, nn

from sfumato.data.array_cache import digest
from sfumato.data.dataset import Dataset
from sfumato.element.section import Few
from sfumato.encode.clip import WAVES, with_level
from sfumato.evaluate.judge import resized
from sfumato.formats.write import save_network, save_tokenizer
from sfumato.network.engine import Eager
from sfumato.network.spec import Input, NetworkSpec
from sfumato.picture import BadInput
from sfumato.schedule import noised
from sfumato.schedule.named import named
from sfumato.train import rng
from sfumato.train.encodings import fingerprint, frozen, latents, part
from sfumato.train.hyperparameters import Common, HeldBack, Stored
from sfumato.train.objective.noise import DiscreteNoise, Noise
from sfumato.train.task import DTYPES, PictureTask, Place, batches, hush, register
from sfumato.train.tasks.clip import COLDEST, Tower, clip_of, info_nce, temperature, tower
from sfumato.train.tokens import encode, without_padding

Batch = tuple[Tensor, Tensor, Tensor, Tensor]


class Towers(nn.Module):
    """A CLIPModel with the new image tower and the fixed text tower, and the clean CLIP's inverse temperature."""

    def __init__(
        self, text: Any, clean: Any, shape: NoisedClipRecipe, channels: int, cells: int, noise: dict[str, Any]
    ):
        from transformers import CLIPVisionConfig

        super().__init__()
        image = CLIPVisionConfig(
            **tower(shape.image, clean.config.projection_dim),
            num_channels=channels + 2 * WAVES,
            image_size=cells,
            patch_size=shape.patch,
        )
        self.clip = clip_of(text.config, image)
        self.clip.config.noise = {"schedule": noise, "channels": channels}
        self.clip.text_model.load_state_dict(text.state_dict())
        self.clip.text_model.requires_grad_(False)
        self.clip.vision_model.load_state_dict(_beginning(self.clip.vision_model, clean.vision_model), strict=False)
        self.clip.visual_projection.load_state_dict(clean.visual_projection.state_dict())
        self.clean_scale = nn.Parameter(self.clip.logit_scale.detach().clone())

    def forward(self, planes: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of noisy pictures with their planes, and of captions, (B, D) each."""
        image = self.clip.visual_projection(self.clip.vision_model(pixel_values=planes).pooler_output)
        return nf.normalize(image.float(), dim=-1), nf.normalize(self.clip.text_projection(pooled).float(), dim=-1)


TOWERS = NetworkSpec(
    {"planes": Input(("rows", "planes", "height", "width")), "pooled": Input(("rows", "width"))},
    lambda network, planes, pooled: network(planes, pooled),
)


def _beginning(new: nn.Module, trained: nn.Module) -> dict[str, Tensor]:
    """The weights of the clean tower that fit the new one: all but the patch embedding where the shapes agree."""
    there = new.state_dict()
    return {k: v for k, v in trained.state_dict().items() if k in there and there[k].shape == v.shape}


class NoisedClipRecipe(Common):
    """`clip` is the folder (or built-in model) whose text and image towers stay as they are.

    The new image tower sees latents of `autoencoder` (null: pixels) under the noise of `schedule`, in patches of
    `patch` cells. `likeness` weighs how near it shall come to what the clean tower says of the clean picture.
    """

    task: Literal["clip-noised"]
    clip: Path = Path("mini")
    autoencoder: Path | None = Path("mini")
    schedule: Noise = DiscreteNoise(kind="squaredcos_cap_v2")
    image: Tower = Tower(width=128)
    patch: Few = 2
    likeness: float = Field(default=1.0, ge=0)
    paraphrases: Few = 2
    held_back: HeldBack = 512
    export: Stored = "float16"


@register
class NoisedClipTask(PictureTask):
    section = NoisedClipRecipe

    def __init__(self, recipe: NoisedClipRecipe, place: Place):
        from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

        super().__init__(recipe, place, recipe.held_back)
        hush("diffusers", "transformers")
        folders = [part(recipe.clip, name, "mini-clip") for name in ("text_encoder", "image_encoder", "tokenizer")]
        text = frozen(CLIPTextModel, folders[0], place)
        clean = frozen(CLIPVisionModelWithProjection, folders[1], place)
        self.tokenizer = CLIPTokenizer.from_pretrained(folders[2])
        if clean.config.image_size > recipe.data.size:
            raise BadInput(
                f"data.size must be at least {clean.config.image_size}, the size of the pictures that {folders[1]} sees"
            )
        self.fixed = {"text": text, "clean": clean}  # in a dictionary: no submodules, neither trained nor saved
        self.train_set.need_captions()
        key = [fingerprint(folder) for folder in folders]
        self.key = digest(self.train_set.key, key, str(recipe.autoencoder))
        self.train_x, self.test_x, self.scale = self._pictures()
        noise = recipe.schedule.model_dump(exclude_none=True)
        self.schedule = named(**noise)
        _, channels, cells, _ = self.train_x.shape
        self.network = Towers(text, clean, recipe, channels, cells, noise)
        self.towers = Eager().prepare(self.network, TOWERS)

    def inputs(self) -> str:
        return self.key

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """InfoNCE of noisy pictures and captions, the same of clean ones (which fits the text's projection), and
        likeness (1 - cos) of the noisy picture's vector to the clean one's; t uniform in [0, 1]."""
        recipe = self.recipe
        which = [rng.choice(recipe.paraphrases, recipe.seed, "caption", step, int(i)) for i in indices]
        x, clean, said, same = self._batch(self.train_set, self.train_x, indices, which)
        t = torch.rand(len(indices), generator=generator, dtype=torch.float64)
        noisy, text = self._answer(x, said, t, torch.randn(x.shape, generator=generator))
        scales = [temperature(s) for s in (self.network.clip.logit_scale, self.network.clean_scale)]
        near = (noisy * clean).sum(-1)
        loss = info_nce(noisy, text, scales[0], same) + info_nce(clean, text, scales[1], same)
        right = (text @ noisy.T).argmax(1) == torch.arange(len(x), device=x.device)
        told = {"accuracy": right.float().mean(), "likeness": near.detach().mean(), "scale": scales[0].detach()}
        return loss + recipe.likeness * (1 - near).mean(), told

    def _answer(self, x: Tensor, pooled: Tensor, t: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        planes = with_level(noised(self.schedule, x, t, noise.to(x)), *self.schedule(t))
        image, caption = self.towers(planes=planes, pooled=pooled)
        return image, caption

    @torch.no_grad()
    def _batch(self, source: Dataset, x: np.ndarray, indices: np.ndarray, which: Iterable[int]) -> Batch:
        """What is noised, the clean tower's unit vectors, and the text tower's pooled states of one caption each."""
        device = self.place.device
        captions = [source.captions[i] for i in indices]
        ids = encode(self.tokenizer, [said[k % len(said)] for said, k in zip(captions, which, strict=True)])
        text = self.fixed["text"](without_padding(self.tokenizer, ids).to(device)).pooler_output
        pictures = resized(source.batch(indices).to(device), self.fixed["clean"].config.image_size)
        clean = self.fixed["clean"](pictures).image_embeds
        shown = torch.from_numpy(np.asarray(x[indices])).float().to(device) * self.scale
        same = (ids[:, None] == ids[None]).all(-1).to(device)
        return shown, nf.normalize(clean.float(), dim=-1), text, same

    def _pictures(self) -> tuple[np.ndarray, np.ndarray, float]:
        """What is noised, of the pictures to train on and of the others, and what it is multiplied by."""
        sources = self.train_set, self.test_set
        if self.recipe.autoencoder is None:
            train, test = (source.batch(np.arange(len(source))).numpy().astype(np.float16) for source in sources)
            return train, test, 1.0
        from diffusers import AutoencoderKL

        folder = part(self.recipe.autoencoder, "vae", "mini-autoencoder")
        vae = frozen(AutoencoderKL, folder, self.place)
        train, test = (latents(source, vae, folder, self.place) for source in sources)
        return train, test, float(vae.config.scaling_factor)

    def finish(self, export: Path) -> dict[str, float]:
        """Saves clip_noised/ and clip/, two CLIPModels with their tokenizer; recall of held-back captions' pictures."""
        dtype = DTYPES[self.recipe.export]
        ours: Any = copy.deepcopy(self.network.clip)
        clean = self.fixed["clean"]
        whole = clip_of(ours.config.text_config, clean.config)
        whole.text_model.load_state_dict(ours.text_model.state_dict())
        whole.text_projection.load_state_dict(ours.text_projection.state_dict())
        whole.vision_model.load_state_dict(clean.vision_model.state_dict())
        whole.visual_projection.load_state_dict(clean.visual_projection.state_dict())
        scales = {"clip": self.network.clean_scale, "clip_noised": self.network.clip.logit_scale}
        for name, network in {"clip": whole, "clip_noised": ours}.items():
            network.logit_scale.data = scales[name].detach().clamp(max=COLDEST).to(network.logit_scale.device)
            network.config.text_config.name_or_path = network.config.vision_config.name_or_path = ""  # nobody's paths
            save_network(network, export / name, dtype)
            save_tokenizer(self.tokenizer, export / name)
        return self._recall()

    @torch.no_grad()
    def _recall(self) -> dict[str, float]:
        """Recall at 1 of captions among the held-back pictures at six times, and by the clean tower."""
        n = len(self.test_set)
        parts = [self._batch(self.test_set, self.test_x, rows, [0] * len(rows))[:3] for rows in batches(n, 128)]
        x, clean, said = (torch.cat(part) for part in zip(*parts, strict=True))
        same = torch.cdist(said, said) < 1e-4
        figures, generator = {"pictures_held_back": float(n)}, rng.generator("measure")
        for t in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9):
            times, noise = torch.full((n,), t, dtype=torch.float64), torch.randn(x.shape, generator=generator)
            noisy, text = self._answer(x, said, times, noise)
            seen = {f"recall_t{t:g}": noisy} | ({"recall_clean": clean} if t == 0 else {})
            for name, image in seen.items():
                figures[name] = float(same.gather(1, (text @ image.T).argmax(1)[:, None]).float().mean())
        return figures
