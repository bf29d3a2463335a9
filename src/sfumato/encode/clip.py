"""A CLIP from its folder: captions and pictures, clean or noisy, as vectors of one space (Radford et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sfumato.network.reading import check_files, check_weights, hushed, reason
from sfumato.picture import BadInput
from sfumato.picture.errors import name_of
from sfumato.schedule import Schedule
from sfumato.schedule.named import named

WAVES = 4


class Clip:
    """transformers' `CLIPModel` and its tokenizer.

    A CLIP of noisy pictures is a CLIPModel too: its config.json says under "noise" which schedule its image tower was
    trained on, as {"schedule": {"kind": "squaredcos_cap_v2"}, "channels": 4}, and its vision tower has 2 `WAVES` more
    channels, the planes of `with_level`.
    """

    def __init__(self, network: Any, tokenizer: Any, mean: Sequence[float] = (), std: Sequence[float] = ()) -> None:
        self.network, self.tokenizer = network, tokenizer
        self.window = min(int(tokenizer.model_max_length), int(network.text_model.config.max_position_embeddings))
        self.mean, self.std = ([[[v] for v in values]] for values in (mean, std))
        self.noise: dict[str, Any] | None = getattr(network.config, "noise", None)
        self.size = int(network.config.vision_config.image_size)
        self.logit_scale = float(network.logit_scale.detach().exp())

    @property
    def schedule(self) -> Schedule:
        """The noise that the image tower knows. BadInput if it sees clean pictures alone."""
        if self.noise is None:
            raise BadInput(
                "This CLIP sees clean pictures alone: guide with through='x0' or 'network', or train a noised one."
            )
        return named(**self.noise["schedule"])

    @torch.no_grad()
    def text(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of captions, (P, D); `BadInput` when one does not fit the text tower's window."""
        pooled = self.network.text_model(self.tokens(prompts).to(self.network.device)).pooler_output
        return self.network.text_projection(pooled).float()

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Token ids (B, window) of texts without a grammar; `BadInput` when one does not fit."""
        for text in texts:
            count = len(self.tokenizer(text, verbose=False).input_ids)
            if count > self.window:
                raise BadInput(
                    f"The prompt is {count - 2} tokens long and this model's text encoder reads at most "
                    f"{self.window - 2}; shorten it."
                )
        ids = self.tokenizer(list(texts), padding="max_length", max_length=self.window, return_tensors="pt")
        return ids.input_ids

    def image(self, pictures: Tensor) -> Tensor:
        """Embeddings (B, D) of clean pictures (B, 3, S, S) in [-1, 1]; differentiable.

        OpenAI's towers want other values than these: what their preprocessor_config.json says is done here.
        """
        if self.noise is not None:
            raise BadInput("This CLIP sees noisy pictures: guide with through='noised', or name a CLIP of clean ones.")
        if self.mean[0]:
            pictures = ((pictures + 1) / 2 - pictures.new_tensor(self.mean)) / pictures.new_tensor(self.std)
        return self._seen(pictures)

    def noised(self, x: Tensor, t: Tensor) -> Tensor:
        """Embeddings (B, D) of x (B, C, H, W) at t (B,) of `schedule`; differentiable.

        x may be of other sizes than the tower was trained on: the embeddings of its places are interpolated.
        """
        return self._seen(with_level(x, *self.schedule(t)))

    def _seen(self, planes: Tensor) -> Tensor:
        other = planes.shape[-2:] != (self.size, self.size)  # than it was trained on: its places are interpolated
        values = planes.to(self.network.dtype)
        pooled = self.network.vision_model(pixel_values=values, interpolate_pos_encoding=other).pooler_output
        return self.network.visual_projection(pooled).float()


def with_level(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x/sqrt(alpha^2 + sigma^2) and 2 `WAVES` planes that say how noisy it is, (B, C + 2 WAVES, H, W).

    The planes are cos and sin of k phi, k = 1 ... WAVES, phi = 2 atan(sigma/alpha): a bounded stand-in for the log-SNR,
    -2 log tan(phi/2). A patch embedding is linear, so to each patch it adds a learned vector of the noise level.
    """
    phi = 2 * torch.atan2(sigma, alpha)
    angles = phi[:, None] * torch.arange(1, WAVES + 1, device=phi.device)
    planes = torch.cat([angles.cos(), angles.sin()], 1)[:, :, None, None].to(x)
    scaled = x / torch.hypot(alpha, sigma)[:, None, None, None].to(x)
    return torch.cat([scaled, planes.expand(-1, -1, *x.shape[2:])], 1)


def load_clip(folder: Path) -> Clip:
    """The CLIP in a folder of transformers' format: config.json, model.safetensors, tokenizer files.

    A folder is read once while its config.json stays the same. Raises `BadInput` if it can't be read.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise BadInput(f"There is no CLIP in {folder}: give the folder of a CLIPModel and its tokenizer.")
    return _load(folder, config.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load(folder: Path, stamp: int) -> Clip:
    import json

    from transformers import CLIPModel, CLIPTokenizer

    what = f"CLIP in {name_of(folder)}"
    check_files(folder, "model", what)
    options: dict[str, Any] = {"dtype": torch.float32, "output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        with hushed():
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            loaded: Any = CLIPModel.from_pretrained(folder, local_files_only=True, **options)
        file = folder / "preprocessor_config.json"
        values = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except Exception as error:
        raise BadInput(f"The {what} can't be read: {reason(error)}") from error
    network, info = loaded
    check_weights(info, what)
    network.eval().requires_grad_(False)
    return Clip(network, tokenizer, values.get("image_mean", ()), values.get("image_std", ()))
