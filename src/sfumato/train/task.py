"""What a run trains. A task holds the network, says the loss of a batch, and exports its parts.

One file a task, its section of the recipe beside it:

    class BlurRecipe(Common):
        task: Literal["blur"]
        radius: Positive = 3

    @register
    class BlurTask(Task):
        section = BlurRecipe
        ...

A recipe that says `task: blur` is then one of its own, from Python, or from YAML once a plugin (`sfumato.plugins`)
has loaded the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.data.world import order
from sfumato.element import Registry
from sfumato.train import rng
from sfumato.train.hyperparameters import Common

CPU = torch.device("cpu")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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

    section: ClassVar[type[Common]]
    """The recipe's type. A task is made of a recipe and a `Place`; its pictures and encodings are then at hand."""
    network: Any  # an nn.Module

    @abstractmethod
    def __len__(self) -> int:
        """The number of training examples."""

    @abstractmethod
    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """A scalar loss; all that is random comes from `generator` or from a key made of (seed, step, index)."""

    def batch(self, seed: int, number: int, size: int) -> np.ndarray:
        """The examples of batch `number`: by default the next of an endless stream of shuffled epochs."""
        return rng.batch(seed, number, size, len(self))

    def inputs(self) -> str:
        """A hash of the pictures and the parts that it is trained on; a resumed run says when they have changed."""
        return ""

    def about(self) -> list[str]:
        """What it is going to do, in sentences that are said before it begins and by --dry-run."""
        return []

    rehearses: ClassVar[bool] = False
    """Whether a run begins by a step that is computed and not taken, to say how long it takes."""

    def passes(self) -> int:
        """How many rows the network is asked about for one sample grid; 0 where that is not known."""
        return 0

    def measured(self) -> dict[str, float]:
        """Figures of the last sample grids, for the journal."""
        return {}

    def conclusion(self) -> list[str]:
        """What is to be said of the run once it is over, in sentences."""
        return []

    def memory(self) -> dict[str, Tensor]:
        """What a step leaves for the next besides the network: buffers, changed in place; saved and loaded with it."""
        return {name: buffer for name, buffer in self.named_buffers() if not name.startswith("network.")}

    def grids(self) -> dict[str, np.ndarray]:
        """Sample grids by name, uint8 (H, W, 3)."""
        return {}

    @abstractmethod
    def finish(self, export: Path) -> dict[str, float]:
        """Write the trained parts in the ecosystem's folder format; answer the measured figures."""


class PictureTask(Task):
    """A task that learns from the pictures of its section `data`, and is measured on `held_back` others."""

    recipe: Any  # of the type `section`

    def __init__(self, recipe: Any, place: Place, held_back: int, grey: bool = False):
        super().__init__()
        self.recipe, self.place = recipe, place
        self.train_set, self.test_set = recipe.data.open(held_back, place.cache, recipe.workers, grey=grey)
        self.order = order(recipe.data, len(self.train_set))

    def __len__(self) -> int:
        """The pictures of an epoch: those that are to be repeated as often as they come."""
        return len(self.order)

    def batch(self, seed: int, number: int, size: int) -> np.ndarray:
        return self.order[super().batch(seed, number, size)]

    def inputs(self) -> str:
        return self.train_set.key


TASKS: Registry[type[Task]] = Registry("task", "sfumato.train.tasks")
T = TypeVar("T", bound=Task)


def register(task: type[T]) -> type[T]:
    """Decorator: recipes name the task as its section's field `task` says."""
    (name,) = get_args(task.section.model_fields["task"].annotation)
    TASKS.add(name, task)
    return task


def hush(*libraries: str) -> None:
    """diffusers and transformers tell of every file that they read; a run says itself what matters."""
    for library in libraries:
        logging = import_module(f"{library}.utils.logging")
        logging.disable_progress_bar()
        logging.set_verbosity_error()


def batches(count: int, size: int = 64) -> Iterator[np.ndarray]:
    """The indices of `count` examples in their order, `size` at a time."""
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def to_pixels(x: Tensor) -> np.ndarray:
    """Pictures in [-1, 1], (B, 3, H, W), as uint8 (B, H, W, 3)."""
    return (x.detach().float().clamp(-1, 1) + 1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
