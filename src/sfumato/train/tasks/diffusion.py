"""A text-conditional U-Net of latents (Rombach et al. 2022) with caption dropout for classifier-free guidance."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from sfumato.condition import Condition, Part, Text
from sfumato.data.array_cache import digest
from sfumato.data.world import order
from sfumato.denoise import Preconditioned, bind
from sfumato.element.section import Count, Few, Fraction, Section, Width
from sfumato.formats.scheduler_config import scheduler_config
from sfumato.formats.stable_diffusion import model_index
from sfumato.guide import ClassifierFree, Guided
from sfumato.network.unet2d_condition import UNetBackbone
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDIM, trajectory
from sfumato.schedule import Discrete
from sfumato.times import TrailingGrid
from sfumato.train import report, rng
from sfumato.train.encodings import Captions, fingerprint, latents, part
from sfumato.train.hyperparameters import Common, Stored
from sfumato.train.objective import Objective
from sfumato.train.objective.losses import StockObjective
from sfumato.train.task import DTYPES, SHARD, Place, Task, hush, register, to_pixels

Answer = Callable[[Tensor, Tensor], Tensor]
"""The network told all but (x, t)."""


class UNet(Section):
    """Shape of diffusers' UNet2DConditionModel, level by level: channels, whether it looks at the text, heads."""

    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)] = (64, 112, 192)
    attention: tuple[bool, ...] = (False, True, True)
    heads: tuple[Few, ...] = (1, 2, 3)
    layers: Few = 1
    groups: Few = 16

    @model_validator(mode="after")
    def _fits(self) -> UNet:
        if not len(self.attention) == len(self.heads) == len(self.channels):
            raise ValueError("channels, attention and heads need one entry for each level")
        for c, heads in zip(self.channels, self.heads, strict=True):
            if c % self.groups or c % heads:
                raise ValueError(f"channels {c} must be a multiple of groups and of heads")
        return self


def unet(shape: UNet, size: int, latent_channels: int, text_width: int, beside: int = 0) -> Any:
    """diffusers' UNet2DConditionModel of that shape, with `beside` more input channels for planes beside the latents;
    its `attention_head_dim` means the *number* of heads."""
    from diffusers import UNet2DConditionModel

    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in shape.attention]
    heads: Any = shape.heads
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(shape.attention)]
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=latent_channels + beside,
        out_channels=latent_channels,
        block_out_channels=shape.channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        layers_per_block=shape.layers,
        attention_head_dim=heads,
        cross_attention_dim=text_width,
        norm_num_groups=shape.groups,
    )


class Preview(Section):
    """What a sample grid draws: DDIM on fixed prompts and fixed noise."""

    prompts: Annotated[tuple[str, ...], Field(min_length=1)] = ("a painting of a woman in a red jacket",)
    each: Few = 4
    steps: Few = 20
    guidance: Annotated[float, Field(ge=0)] = 4.0
    seed: Count = 0


class TextDiffusion(Common):
    """Text-conditional diffusion; `begin` goes on from the trained U-Net of a folder or a built-in model."""

    begin: Path | None = None
    text_encoder: Path = Path("runs/mini-clip/export")
    network: UNet = UNet()
    objective: StockObjective = StockObjective()
    dropout: Fraction = 0.1
    paraphrases: Few = 3
    export: Stored = "float16"


class LatentDiffusion(TextDiffusion):
    """Of an autoencoder's latents."""

    autoencoder: Path = Path("runs/mini-autoencoder/export/vae")


class DiffusionRecipe(LatentDiffusion):
    task: Literal["diffusion"]
    preview: Preview = Preview()


@register
class DiffusionTask(Task):
    section = DiffusionRecipe
    recipe: Any  # a TextDiffusion with the preview of its task
    pipeline = "StableDiffusionPipeline"
    patch = 1

    def __init__(self, recipe: TextDiffusion, place: Place):
        from transformers import CLIPTextModel, CLIPTokenizer

        super().__init__()
        hush("diffusers", "transformers")
        self.recipe, self.place = recipe, place
        self.folders = self.trained() | {
            "text_encoder": part(recipe.text_encoder, "text_encoder", "mini-clip"),
            "tokenizer": part(recipe.text_encoder, "tokenizer", "mini-clip"),
        }
        encoder: Any = CLIPTextModel.from_pretrained(self.folders["text_encoder"], dtype=torch.float32)
        encoder.to(place.device).eval().requires_grad_(False)
        self.source, self.others = recipe.data.open(self.held_back(), place.cache, recipe.workers)
        if recipe.dropout < 1:
            self.source.need_captions()
        self.order = order(recipe.data, len(self.source))
        tokenizer = CLIPTokenizer.from_pretrained(self.folders["tokenizer"])
        key = fingerprint(self.folders["text_encoder"]) + fingerprint(self.folders["tokenizer"])
        self.captions = Captions(self.source.captions, recipe.paraphrases, encoder, tokenizer, key, place)
        self.shape = self.open_space()
        self.key = digest(self.source.key, key, *map(fingerprint, self.trained().values()))
        channels, side = self.shape[0] * self.patch**2, self.shape[1] // self.patch
        self.network = unet(recipe.network, side, channels, encoder.config.hidden_size, self.beside(channels))
        if recipe.begin is not None:
            self._begin(part(recipe.begin, "unet", "mini-unet"))
        table = scheduler_config(recipe.objective)
        self.schedule = Discrete.from_config(table)
        self.objective = Objective(recipe.objective, self.schedule)

    def trained(self) -> dict[str, Path]:
        """The folders of the parts besides the text's that must be there."""
        return {"vae": part(self.recipe.autoencoder, "vae", "mini-autoencoder")}

    def open_space(self) -> tuple[int, int, int]:
        """Reads what turns pictures into x and back, and answers the shape of x, (C, h, w)."""
        from diffusers import AutoencoderKL

        folder = self.folders["vae"]
        vae: Any = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)
        vae.to(self.place.device).eval().requires_grad_(False)
        self.parts = {"vae": vae}  # in a dictionary, so that it is no submodule: neither trained nor saved
        self.scale = float(vae.config.scaling_factor)
        self.latents = latents(self.source, vae, folder, self.place)
        return self.latents.shape[1:]

    def clean(self, rows: np.ndarray) -> Tensor:
        """x0 of training pictures."""
        return torch.from_numpy(self.latents[rows]).float() * self.scale

    def decode(self, x: Tensor) -> Tensor:
        """Pictures in [-1, 1]."""
        return self.parts["vae"].decode(x / self.scale).sample

    def _begin(self, folder: Path) -> None:
        from diffusers import UNet2DConditionModel

        trained: Any = UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32)
        try:
            self.network.load_state_dict(self.beginning(trained.state_dict()))
        except RuntimeError as error:
            raise BadInput(f"begin: the U-Net in {folder} has another shape than 'network' says") from error

    def held_back(self) -> int:
        """How many pictures are kept from training."""
        return 1

    def beside(self, channels: int) -> int:
        """How many channels the network sees beside the latents' own."""
        return 0

    def beginning(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The weights of `begin` as this network's."""
        return weights

    def __len__(self) -> int:
        return len(self.order)

    def inputs(self) -> str:
        return self.key

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """E |F - F*|^2, each caption replaced by the empty one with probability `dropout` (Ho and Salimans 2022)."""
        recipe, device = self.recipe, self.place.device
        indices = self.order[indices]
        x0 = self.clean(indices).to(device)
        which = [rng.choice(recipe.paraphrases, recipe.seed, "caption", step, int(i)) for i in indices]
        dropped = torch.rand(len(indices), generator=generator) < recipe.dropout
        losses, t = self.objective(self.told(indices, which, dropped, generator), x0, generator)
        late = (t > 0.5).to(device)
        parts = {"loss_noisy": losses[late], "loss_clean": losses[~late]}
        return losses.mean(), {k: v.detach().mean() for k, v in parts.items() if len(v)}

    def told(self, rows: np.ndarray, which: list[int], dropped: Tensor, generator: torch.Generator) -> Answer:
        """The network told paraphrase `which[i]` of picture `rows[i]`, the empty prompt where dropped."""
        text = self.captions.batch(rows, which, dropped).to(self.place.device)
        return lambda x, t: self.network(x, self.schedule.index(t).float(), text, return_dict=False)[0]

    @torch.no_grad()
    def draw(self, prompts: list[str], each: int, steps: int, guidance: float, seed: int, *parts: Part) -> Tensor:
        """Pictures of the prompts, (len(prompts) * each, 3, H, W): DDIM on a trailing grid with classifier-free
        guidance; picture k of every prompt begins from the same noise. `parts` are told beside the prompts."""
        device = self.place.device
        noise = [torch.randn((1, *self.shape), generator=rng.generator(seed, "preview", k)) for k in range(each)]
        x = torch.cat(noise * len(prompts)).to(device)
        rows = [prompt for prompt in prompts for _ in range(each)]
        text = Text(self.captions.encode(rows), negative=Text(self.captions.encode([""])))
        backbone = UNetBackbone(self.network, patch=self.patch)
        denoiser = Preconditioned(backbone, self.schedule, self.recipe.objective.parameterization)
        denoise = bind(Guided(denoiser, [ClassifierFree(guidance)]), Condition((text, *parts)))
        for step in trajectory(denoise, DDIM(), x, TrailingGrid()(steps, self.schedule), KeyedNoise([seed] * len(x))):
            x = step.x
        return self.decode(x)

    def grids(self) -> dict[str, np.ndarray]:
        p = self.recipe.preview
        with self.place.autocast():
            pictures = self.draw(list(p.prompts), p.each, p.steps, p.guidance, p.seed)
        return {"samples": report.grid(to_pixels(pictures), 2 * p.each, zoom=2)}

    def finish(self, export: Path) -> dict[str, float]:
        """Saves unet/, scheduler/, the parts it was trained with, and model_index.json: a StableDiffusionPipeline."""
        stored = copy.deepcopy(self.network).to(DTYPES[self.recipe.export])
        stored.save_pretrained(export / "unet", max_shard_size=SHARD)
        for name, folder in self.folders.items():
            shutil.copytree(folder, export / name, dirs_exist_ok=True)
        (export / "scheduler").mkdir(exist_ok=True)
        texts = {
            "scheduler/scheduler_config.json": scheduler_config(self.recipe.objective),
            "model_index.json": {
                name: value
                for name, value in model_index(self.pipeline).items()
                if name != "vae" or name in self.folders
            },
        }
        for name, value in texts.items():
            (export / name).write_text(json.dumps(value, indent=2) + "\n")
        return self._losses()

    def _losses(self, rows: int = 512) -> dict[str, float]:
        """The unweighted loss in quarters of time on training pictures, with fixed noise."""
        figures = {}
        indices = np.arange(min(rows, len(self.source)))
        for quarter in range(4):
            total, generator = 0.0, rng.generator("measure", quarter)
            for start in range(0, len(indices), 64):
                batch = indices[start : start + 64]
                x0 = self.clean(batch).to(self.place.device)
                shown = torch.zeros(len(batch), dtype=torch.bool)
                answer = self.told(batch, [0] * len(batch), shown, generator)
                t = (quarter + torch.rand(len(batch), generator=generator, dtype=torch.float64)) / 4
                losses = self.objective.at(answer, x0, t, generator)
                total += float(losses.sum())
            figures[f"loss_t{quarter}"] = total / len(indices)
        return figures
