"""What a run trains: one file a task. A task holds the network, says the loss of a batch, and exports its parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import recipe as r

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Place:
    """Where a run works: its own folder, and the folder of cached arrays that runs side by side share."""

    run: Path
    cache: Path
    device: torch.device = CPU
    low: bool = False

    def autocast(self) -> torch.autocast:
        """bfloat16 for what is computed once and kept, where the run itself uses it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.low)

    @property
    def export(self) -> Path:
        return self.run / "export"


class Task(nn.Module, ABC):
    """`network` is trained; `forward` says the loss of the examples `indices` at `step`, and scalars to log."""

    network: Any  # an nn.Module

    @abstractmethod
    def __len__(self) -> int:
        """The number of training examples."""

    @abstractmethod
    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """A scalar loss; all that is random comes from `generator` or from a key made of (seed, step, index)."""

    def inputs(self) -> str:
        """A hash of the pictures and the parts that it is trained on; a resumed run says when they have changed."""
        return ""

    def memory(self) -> dict[str, Tensor]:
        """What a step leaves for the next besides the network: buffers, changed in place; saved and loaded with it."""
        return {name: buffer for name, buffer in self.named_buffers() if not name.startswith("network.")}

    def grids(self) -> dict[str, np.ndarray]:
        """Sample grids by name, uint8 (H, W, 3)."""
        return {}

    @abstractmethod
    def finish(self, export: Path) -> dict[str, float]:
        """Write the trained parts in the ecosystem's folder format; answer the measured figures."""


def build(recipe: r.Common, place: Place) -> Task:
    """The task that a recipe asks for, its pictures and encodings at hand."""
    match recipe:
        case r.Autoencoder():
            from .autoencoder import AutoencoderTask

            return AutoencoderTask(recipe, place)
        case r.Clip():
            from .clip import ClipTask

            return ClipTask(recipe, place)
        case r.NoisedClip():
            from .clip_noised import NoisedClipTask

            return NoisedClipTask(recipe, place)
        case r.Diffusion():
            from .diffusion import DiffusionTask

            return DiffusionTask(recipe, place)
        case r.Inpaint():
            from .inpaint import InpaintTask

            return InpaintTask(recipe, place)
        case r.JudgeTask():
            from .judge import JudgeTask

            return JudgeTask(recipe, place)
        case r.Pixels():
            from .pixels import PixelsTask

            return PixelsTask(recipe, place)
        case r.ClassifierTask():
            from .classifier import ClassifierTask

            return ClassifierTask(recipe, place)
        case r.Ncsn():
            from .ncsn import NcsnTask

            return NcsnTask(recipe, place)
        case r.Palette():
            from .palette import PaletteTask

            return PaletteTask(recipe, place)
        case r.Points():
            from .points import PointsTask

            return PointsTask(recipe, place)
        case r.TextPixels():
            from .text_pixels import TextPixelsTask

            return TextPixelsTask(recipe, place)
    raise TypeError(f"no task for {type(recipe).__name__}")


def hush(*libraries: str) -> None:
    """diffusers and transformers tell of every file that they read; a run says itself what matters."""
    for library in libraries:
        logging = import_module(f"{library}.utils.logging")
        logging.disable_progress_bar()
        logging.set_verbosity_error()


def to_pixels(x: Tensor) -> np.ndarray:
    """Pictures in [-1, 1], (B, 3, H, W), as uint8 (B, H, W, 3)."""
    return (x.detach().float().clamp(-1, 1) + 1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SHARD = "15MB"
