"""A text-conditional U-Net of latents (Rombach et al. 2022) with caption dropout for classifier-free guidance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor

from sfumato.condition import Condition, Part, Text
from sfumato.data.array_cache import digest
from sfumato.data.vignette_focus import cell_counts
from sfumato.data.world import Vignettes
from sfumato.denoise import Preconditioned, bind
from sfumato.element.section import Count, Few, Fraction, Section, Width
from sfumato.formats import stable_diffusion
from sfumato.formats.folder import read_json
from sfumato.formats.scheduler_config import scheduler_config
from sfumato.guide import ClassifierFree, Guidance, Guided
from sfumato.network.unet2d_condition import UNetBackbone
from sfumato.network.widen import answering, attending, widened
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDIM, trajectory
from sfumato.schedule import Discrete
from sfumato.space import Latent
from sfumato.times import TrailingGrid
from sfumato.train import report, rng
from sfumato.train.encodings import Captions, fingerprint, frozen, latents, part
from sfumato.train.hyperparameters import Common, Stored
from sfumato.train.objective import Network, Objective
from sfumato.train.objective.losses import StockObjective
from sfumato.train.task import DTYPES, PictureTask, Place, hush, register, to_pixels


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


def shape_of(folder: Path) -> UNet:
    """The shape of the U-Net in a folder. Raises BadInput for one that `unet` doesn't make."""
    config = read_json(folder / "config.json")
    levels, heads = config.get("down_block_types", ()), config.get("attention_head_dim", 8)
    try:
        return UNet(
            channels=config["block_out_channels"],
            attention=tuple("CrossAttn" in kind for kind in levels),
            heads=(heads,) * len(levels) if isinstance(heads, int) else heads,
            layers=config.get("layers_per_block", 2),
            groups=config.get("norm_num_groups", 32),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise BadInput(f"begin: the U-Net in {folder} is none whose shape a recipe can say: say network") from error


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
    objective: StockObjective = StockObjective()
    dropout: Fraction = 0.1
    paraphrases: Few = 3
    export: Stored = "float16"


class LatentDiffusion(TextDiffusion):
    """Of an autoencoder's latents. `network` is that of `begin` where nothing else is said; where it has attention on
    more levels than `begin`, these add nothing at first."""

    autoencoder: Path = Path("runs/mini-autoencoder/export/vae")
    network: UNet | None = None


class DiffusionRecipe(LatentDiffusion):
    task: Literal["diffusion"]
    preview: Preview = Preview()


@register
class DiffusionTask(PictureTask):
    section = DiffusionRecipe
    pipeline = "StableDiffusionPipeline"
    patch = 1

    def __init__(self, recipe: Any, place: Place, held_back: int = 1):
        from transformers import CLIPTextModel, CLIPTokenizer

        super().__init__(recipe, place, held_back)
        hush("diffusers", "transformers")
        self.folders = self.trained() | {
            "text_encoder": part(recipe.text_encoder, "text_encoder", "mini-clip"),
            "tokenizer": part(recipe.text_encoder, "tokenizer", "mini-clip"),
        }
        encoder = frozen(CLIPTextModel, self.folders["text_encoder"], place)
        if self.tells_words():
            self.train_set.need_captions()
        tokenizer = CLIPTokenizer.from_pretrained(self.folders["tokenizer"])
        key = fingerprint(self.folders["text_encoder"]) + fingerprint(self.folders["tokenizer"])
        self.captions = Captions(self.train_set.captions, recipe.paraphrases, encoder, tokenizer, key, place)
        self.shape = self.open_space()
        data = recipe.data
        self.cells = (
            cell_counts(data, self.shape[1], self.train_set.key, place.cache) if isinstance(data, Vignettes) else None
        )
        self.key = digest(self.train_set.key, key, *map(fingerprint, self.trained().values()))
        channels, side = self.shape[0] * self.patch**2, self.shape[1] // self.patch
        self.build(channels, side, encoder.config.hidden_size)

    def build(self, channels: int, side: int, text_width: int) -> None:
        """Makes what is trained (`network`), what paints (`backbone`), the schedule and the objective."""
        recipe = self.recipe
        begin = None if recipe.begin is None else part(recipe.begin, "unet", "mini-unet")
        shape = recipe.network or (UNet() if begin is None else shape_of(begin))
        self.network = unet(shape, side, channels, text_width, self.beside(channels))
        if begin is not None:
            self._begin(begin)
        self.backbone = UNetBackbone(self.network, patch=self.patch)
        self.schedule = Discrete.from_config(scheduler_config(recipe.objective))
        self.objective = Objective(recipe.objective, self.schedule)

    def tells_words(self) -> bool:
        """Whether any row is told its caption."""
        return self.recipe.dropout < 1

    def trained(self) -> dict[str, Path]:
        """The folders of the parts besides the text's that must be there."""
        return {"vae": part(self.recipe.autoencoder, "vae", "mini-autoencoder")}

    def open_space(self) -> tuple[int, int, int]:
        """Reads what turns pictures into x and back, and answers the shape of x, (C, h, w)."""
        from diffusers import AutoencoderKL

        folder = self.folders["vae"]
        vae = frozen(AutoencoderKL, folder, self.place)
        self.space = Latent(vae)
        self.latents = latents(self.train_set, vae, folder, self.place)
        return self.latents.shape[1:]

    def clean(self, rows: np.ndarray) -> Tensor:
        """x0 of training pictures."""
        return (torch.from_numpy(self.latents[rows]).float() - self.space.shift) * self.space.scale

    def decode(self, x: Tensor) -> Tensor:
        """Pictures in [-1, 1]; those of a sample grid may be NaN."""
        return self.space.decoder(z=x / self.space.scale + self.space.shift)

    def _begin(self, folder: Path) -> None:
        from diffusers import UNet2DConditionModel

        trained: Any = UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32)
        try:
            self.network.load_state_dict(self.beginning(trained.state_dict()))
        except RuntimeError as error:
            raise BadInput(f"begin: the U-Net in {folder} has another shape than 'network' says") from error

    def beside(self, channels: int) -> int:
        """How many channels the network sees beside the latents' own."""
        return 0

    def beginning(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The weights of `begin` as this network's: where the latents have more channels than those it was trained on,
        the new ones are neither seen nor answered at first (zeros), and a level that looks at the text only now adds
        nothing at first, so that it begins as it was."""
        config, ends = self.network.config, widened(weights, self.network.config["in_channels"])
        return attending(answering(ends, config["out_channels"]), self.network.state_dict())

    def inputs(self) -> str:
        return self.key

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """E |F - F*|^2, each caption replaced by the empty one with probability `dropout` (Ho and Salimans 2022)."""
        recipe, device = self.recipe, self.place.device
        x0 = self.clean(indices).to(device)
        which = [rng.choice(recipe.paraphrases, recipe.seed, "caption", step, int(i)) for i in indices]
        dropped = self.dropped(len(indices), generator)
        condition = self.condition(indices, which, dropped, generator)
        losses, t = self.objective(self.told(condition), x0, generator, self.counts(indices))
        return losses.mean(), report.by_noise(losses, t)

    def counts(self, rows: np.ndarray) -> Tensor | None:
        """How much each cell of training pictures counts, (B, 1, h, w); None where all count alike."""
        if self.cells is None:
            return None
        return torch.from_numpy(self.cells[rows].astype(np.float32))[:, None].to(self.place.device)

    def dropped(self, n: int, generator: torch.Generator) -> Tensor:
        """(n,) bool: the rows that are told no caption."""
        return torch.rand(n, generator=generator) < self.recipe.dropout

    def condition(self, rows: np.ndarray, which: list[int], dropped: Tensor, generator: torch.Generator) -> Condition:
        """What the network is told: paraphrase `which[i]` of picture `rows[i]`, the empty prompt where dropped."""
        return Condition((Text(self.captions.batch(rows, which, dropped).to(self.place.device)),))

    def told(self, condition: Condition) -> Network:
        """F at (x, t), by the network as it will be run."""
        return lambda x, t: self.backbone(x, self.schedule.index(t).float(), condition)

    @torch.no_grad()
    def draw(
        self, prompts: list[str], each: int, steps: int, guidance: float | Guidance, seed: int, *parts: Part
    ) -> Tensor:
        """Pictures of the prompts, (len(prompts) * each, 3, H, W): DDIM on a trailing grid with a guidance, or
        classifier-free guidance of that scale; picture k of every prompt begins from the same noise. `parts` are told
        beside the prompts."""
        device = self.place.device
        noise = [torch.randn((1, *self.shape), generator=rng.generator(seed, "preview", k)) for k in range(each)]
        x = torch.cat(noise * len(prompts)).to(device)
        rows = [prompt for prompt in prompts for _ in range(each)]
        text = Text(self.captions.encode(rows), negative=Text(self.captions.encode([""])))
        denoiser = Preconditioned(self.backbone, self.schedule, self.objective.recipe.parameterization)
        guided = guidance if isinstance(guidance, Guidance) else ClassifierFree(guidance)
        denoise = bind(Guided(denoiser, [guided]), Condition((text, *parts)))
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
        scheduler, dtype = scheduler_config(self.recipe.objective), DTYPES[self.recipe.export]
        stable_diffusion.write(export, self.network, self.folders, scheduler, self.pipeline, dtype, self.patch)
        return report.by_quarter(self._losses, min(512, len(self.train_set)))

    def _losses(self, rows: np.ndarray, quarter: int, generator: torch.Generator) -> Tensor:
        """The unweighted loss of training pictures."""
        condition = self.condition(rows, [0] * len(rows), torch.zeros(len(rows), dtype=torch.bool), generator)
        t, x0 = report.times_in(quarter, len(rows), generator), self.clean(rows).to(self.place.device)
        return self.objective.at(self.told(condition), x0, t, generator)
