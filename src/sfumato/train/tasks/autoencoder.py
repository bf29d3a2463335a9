"""A KL autoencoder (Rombach et al. 2022, section 3.1): L1, gradients, pyramid, texture, what a frozen network sees, a
discriminator, and a whisper of KL."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as nf
from pydantic import Field, model_validator
from torch import Tensor, nn

from sfumato.element.section import Few, Section, Width
from sfumato.evaluate.metrics.pixel import box_window, psnr, ssim
from sfumato.formats.write import save_network
from sfumato.network.autoencoder_kl import DECODER, MOMENTS
from sfumato.network.engine import Eager
from sfumato.picture import BadInput
from sfumato.space import Latent
from sfumato.train import report
from sfumato.train.encodings import frozen, part
from sfumato.train.hyperparameters import Common, HeldBack, Stored
from sfumato.train.objective.adversary import Adversary, PatchDiscriminator, balanced, taken_for_real, told_apart
from sfumato.train.objective.reconstruction import Perceptual, gradient_l1, pyramid_l1, texture_l1
from sfumato.train.task import DTYPES, PictureTask, Place, batches, hush, register, to_pixels


class KLNetwork(Section):
    """Shape of diffusers' AutoencoderKL; the downsampling factor is 2 ** (len(channels) - 1)."""

    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)] = (32, 64, 96)
    layers: Few = 1
    latent_channels: Width = 4
    groups: Few = 16
    attention: bool = False

    @model_validator(mode="after")
    def _divides(self) -> KLNetwork:
        for c in self.channels:
            if c % self.groups:
                raise ValueError(f"channels {c} can't be split into {self.groups} groups: choose a multiple")
        return self


def kl_network(shape: KLNetwork, size: int) -> Any:
    """diffusers' AutoencoderKL of that shape, which stock pipelines load."""
    from diffusers import AutoencoderKL

    n = len(shape.channels)
    levels: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * n,
        "up_block_types": ("UpDecoderBlock2D",) * n,
        "block_out_channels": shape.channels,
    }
    return AutoencoderKL(
        **levels,
        layers_per_block=shape.layers,
        latent_channels=shape.latent_channels,
        norm_num_groups=shape.groups,
        mid_block_add_attention=shape.attention,
        sample_size=size,
    )


class KLLoss(Section):
    """Weights of the autoencoder's terms: L1 is 1; the others are relative to it."""

    gradient: Annotated[float, Field(ge=0)] = 1.0
    pyramid: Annotated[float, Field(ge=0)] = 0.5
    ssim: Annotated[float, Field(ge=0)] = 0.0
    texture: Annotated[float, Field(ge=0)] = 0.0
    kl: Annotated[float, Field(ge=0)] = 1e-6
    perceptual: Perceptual | None = None
    adversary: Adversary | None = None


class Alignment(Section):
    """The first latent channels follow those of another autoencoder, that in `model`, on smaller pictures.

    So a diffusion model that was trained on its latents can be gone on with in these: `begin` in its recipe. The term
    is weight * mean of (channels - latents of `model`)^2, of the picture halved until both have as many cells, in the
    spirit of Yao et al. 2025 ("Reconstruction vs. generation", who align latents with features of a frozen network).
    The other channels are exported at zero mean and unit variance.
    """

    model: Path
    weight: Annotated[float, Field(gt=0)] = 1.0


class AutoencoderRecipe(Common):
    """`begin` goes on from a trained autoencoder; `decoder_only` keeps its encoder, and so its latents, as they are."""

    task: Literal["autoencoder"]
    network: KLNetwork = KLNetwork()
    loss: KLLoss = KLLoss()
    held_back: HeldBack = 256
    align: Alignment | None = None
    begin: Path | None = None
    decoder_only: bool = False
    export: Stored = "float32"

    @model_validator(mode="after")
    def _begins(self) -> AutoencoderRecipe:
        if self.decoder_only and self.begin is None:
            raise ValueError("decoder_only needs 'begin': the folder of the autoencoder whose encoder is kept")
        if self.decoder_only and self.align is not None:
            raise ValueError("decoder_only keeps the latents as they are, and align moves them: leave one out")
        size, factor = self.data.size, 2 ** (len(self.network.channels) - 1)
        if size % factor:
            raise ValueError(f"data.size {size} is not a multiple of {factor}, by which 'network' makes it smaller")
        return self


@register
class AutoencoderTask(PictureTask):
    section = AutoencoderRecipe

    def __init__(self, recipe: AutoencoderRecipe, place: Place):
        super().__init__(recipe, place, recipe.held_back)
        hush("diffusers")
        self.network = self.autoencoder = kl_network(recipe.network, recipe.data.size)
        self.moments, self.decoder = (Eager().prepare(self.autoencoder, spec) for spec in (MOMENTS, DECODER))
        if recipe.begin is not None:
            self._begin(part(recipe.begin, "vae", "mini-autoencoder"))
        if (adversary := recipe.loss.adversary) is not None:
            against = PatchDiscriminator(adversary.channels, adversary.layers)
            self.network = nn.ModuleDict({"autoencoder": self.autoencoder, "discriminator": against})
        self.sees = recipe.loss.perceptual and recipe.loss.perceptual.distance()
        self.aligned = None if recipe.align is None else self._other(recipe.align.model)

    def _other(self, model: Path) -> Latent:
        """The latents that are followed. Raises BadInput where this autoencoder can't."""
        from diffusers import AutoencoderKL

        folder = part(model, "vae", "mini-autoencoder")
        space = Latent(frozen(AutoencoderKL, folder, self.place))
        shape = self.recipe.network
        factor = 2 ** (len(shape.channels) - 1)
        if space.channels >= shape.latent_channels or factor % space.factor:
            raise BadInput(
                f"align: the autoencoder in {folder} has {space.channels} channels and cells of {space.factor} pixels, "
                f"and this one {shape.latent_channels} and {factor}: it needs more channels, and cells that hold "
                "several of those."
            )
        return space

    def _begin(self, folder: Path) -> None:
        from diffusers import AutoencoderKL

        trained: Any = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)
        try:
            self.autoencoder.load_state_dict(trained.state_dict())
        except RuntimeError as error:
            raise BadInput(f"begin: the autoencoder in {folder} has another shape than 'network' says") from error
        if self.recipe.decoder_only:
            self.autoencoder.encoder.requires_grad_(False)
            self.autoencoder.quant_conv.requires_grad_(False)
            self.autoencoder.register_to_config(scaling_factor=trained.config.scaling_factor)

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        weights = self.recipe.loss
        x = self.train_set.batch(indices).to(self.place.device)
        mean, logvar = self.moments(pictures=x).float().chunk(2, 1)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        y = self.decoder(z=mean + (0.5 * logvar).exp() * noise).float()
        l1, edges, broad = (x - y).abs().mean(), gradient_l1(x, y), pyramid_l1(x, y)
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        loss = l1 + weights.gradient * edges + weights.pyramid * broad + weights.kl * kl
        if weights.texture:
            loss = loss + weights.texture * texture_l1(x, y)
        if weights.ssim:
            loss = loss + weights.ssim * (1 - ssim(x, y, box_window).mean())
        figures = {"l1": l1.detach(), "kl": kl.detach(), "psnr": psnr(x, y.detach()).mean()}
        if self.sees is not None and weights.perceptual is not None:
            seen = self.sees(x, y).mean()
            loss, figures["perceptual"] = loss + weights.perceptual.weight * seen, seen.detach()
        if self.aligned is not None and self.recipe.align is not None:
            apart = (mean[:, : self.aligned.channels] - self._followed(self.aligned, x)).square().mean()
            loss, figures["apart"] = loss + self.recipe.align.weight * apart, apart.detach()
        if weights.adversary is not None:
            loss, figures["discriminator"] = self._opposed(weights.adversary, loss, x, y, step)
        return loss, figures

    def _opposed(self, adversary: Adversary, loss: Tensor, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The loss with the discriminator's own, and with its verdict once that is heard; and its own."""
        discriminator = self.network["discriminator"]
        own = told_apart(discriminator, x, y)
        if step >= adversary.start:
            heard = taken_for_real(discriminator, y)
            last = self.autoencoder.decoder.conv_out.weight
            loss = loss + adversary.weight * balanced(loss, heard, last) * heard
        return loss + own, own.detach()

    def _followed(self, space: Latent, x: Tensor) -> Tensor:
        """The other autoencoder's latents of pictures, seen at as many cells."""
        times = 2 ** (len(self.recipe.network.channels) - 1) // space.factor
        return space.encode(nf.avg_pool2d(x, times) if times > 1 else x)

    @torch.no_grad()
    def _reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.moments(pictures=x.to(self.place.device)).chunk(2, 1)[0]
        return self.decoder(z=latents).clamp(-1, 1).cpu(), latents.cpu()

    def grids(self) -> dict[str, np.ndarray]:
        x = self.test_set.batch(np.arange(min(16, len(self.test_set))))
        y, _ = self._reconstruct(x)
        pairs = np.stack([to_pixels(x), to_pixels(y)], 1).reshape(-1, *x.shape[2:], 3)
        return {"reconstructions": report.grid(pairs, 8, zoom=2)}

    def finish(self, export: Path) -> dict[str, float]:
        """Measures PSNR and SSIM on the held-back pictures, sets scaling_factor = 1 / std(latents), saves `vae/`."""
        quality, similarity, latents = [], [], []
        for rows in batches(len(self.test_set), 32):
            x = self.test_set.batch(rows)
            y, z = self._reconstruct(x)
            quality.append(psnr(x, y))
            similarity.append(ssim(x, y, box_window))
            latents.append(z)
        z = torch.cat(latents)
        std = float(z.std())
        if self.aligned is not None:
            std = float(self._standardised(z).std())
            self.autoencoder.register_to_config(scaling_factor=1.0)
        elif not self.recipe.decoder_only:
            self.autoencoder.register_to_config(scaling_factor=1 / std)
        save_network(self.autoencoder, export / "vae", DTYPES[self.recipe.export])
        figures = {
            "psnr": float(torch.cat(quality).mean()),
            "psnr_worst": float(torch.cat(quality).min()),
            "ssim": float(torch.cat(similarity).mean()),
            "latent_std": std,
            "latent_mean": float(z.mean()),
            "latent_largest": float(z.abs().max()),
        }
        if self.aligned is not None:
            rows = batches(len(self.test_set), 32)
            followed = torch.cat([self._followed(self.aligned, self.test_set.batch(each)).cpu() for each in rows])
            apart = (z[:, : self.aligned.channels] - followed).square().mean()
            figures["latent_apart"] = float(apart)
        if not all(map(math.isfinite, figures.values())):
            raise ValueError(f"the trained autoencoder answers non-finite values: {figures}")
        return figures

    def _standardised(self, z: Tensor) -> Tensor:
        """Latents whose channels beyond those that follow another's have zero mean and unit variance: the last
        convolution of the encoder and the first of the decoder are made to, which changes no picture. z: latents of
        pictures (B, C, h, w); they are returned as they come now."""
        first, channels = self.aligned.channels, z.shape[1]  # type: ignore[union-attr]
        mean, std = torch.zeros(channels), torch.ones(channels)
        mean[first:], std[first:] = z.mean((0, 2, 3))[first:], z.std((0, 2, 3))[first:]
        last, next_ = self.autoencoder.quant_conv, self.autoencoder.post_quant_conv
        with torch.no_grad():
            m, s = mean.to(last.weight), std.to(last.weight)
            next_.bias += next_.weight[:, :, 0, 0] @ m
            next_.weight *= s[None, :, None, None]
            last.bias[:channels] -= m
            last.bias[channels:] -= 2 * s.log()  # the logarithm of the variance
            last.weight[:channels] /= s[:, None, None, None]
            last.bias[:channels] /= s
        return (z - mean[None, :, None, None]) / std[None, :, None, None]
