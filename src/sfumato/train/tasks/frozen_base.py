"""What is trained beside a text-to-image model whose own weights stay as they are: the part that is shared.

The base is read from its folder with its schedule and parameterization; what is trained is called through the very
parts of a condition (`Controls`, `ImagePrompts`) that it acts through in a run, so what is learned is what will be run.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from sfumato.condition import Condition, Part, Text
from sfumato.element.section import Count, Few, Fraction, Section
from sfumato.formats.folder import read_json
from sfumato.formats.scheduler_config import noise_schedule
from sfumato.network.unet2d_condition import UNetBackbone
from sfumato.picture import BadInput
from sfumato.train import report
from sfumato.train.encodings import latents, part
from sfumato.train.hyperparameters import Common, HeldBack, Stored
from sfumato.train.objective import Objective
from sfumato.train.objective.losses import StockObjective
from sfumato.train.objective.times import Table, Times
from sfumato.train.objective.weighting import MinSNR, Weighting
from sfumato.train.task import Place, to_pixels
from sfumato.train.tasks.diffusion import DiffusionTask

Way = Literal["right", "wrong", "without"]
"""What a held-back picture's network is shown: what belongs to it, what belongs to another picture, or nothing."""


class ShownGrid(Section):
    """A sample grid: `count` pictures held back, each beside what is shown of it and what is painted from that."""

    count: Few = 8
    steps: Few = 20
    guidance: Annotated[float, Field(ge=0)] = 4.0
    seed: Count = 0


class OnFrozenBase(Common):
    """`base` is the folder of a text-to-image model of latents, or the name of a built-in one. Captions are dropped as
    often as `dropout` says; `held_back` pictures are kept to measure with."""

    base: Path = Path("mini")
    weighting: Weighting = MinSNR(kind="min-snr")
    times: Times = Table()
    dropout: Fraction = 0.1
    paraphrases: Few = 3
    held_back: HeldBack = 128
    preview: ShownGrid = ShownGrid()
    export: Stored = "float32"

    @property
    def text_encoder(self) -> Path:
        return self.base

    @property
    def autoencoder(self) -> Path:
        return self.base


class FrozenBaseTask(DiffusionTask):
    """`network` is trained, on what `shown` answers; `base` paints."""

    base: Any

    def __init__(self, recipe: OnFrozenBase, place: Place):
        super().__init__(recipe, place, recipe.held_back)
        self.tested = latents(self.test_set, self.space.autoencoder, self.folders["vae"], place)
        self.kinds = self.shown()

    @abstractmethod
    def make(self, base: Any) -> nn.Module:
        """The network that is trained, as it begins."""

    @abstractmethod
    def shown(self) -> Sequence[tuple[np.ndarray, np.ndarray]]:
        """What the network is shown of each picture, of the training and of the test set; one pair a kind of control,
        of which each step learns one."""

    def turns(self) -> Sequence[int]:
        """The kinds of control of which each step draws one; a kind that is there twice comes twice as often."""
        return range(len(self.kinds))

    @abstractmethod
    def control(self, shown: Tensor, kind: int) -> Part:
        """The part of a condition in which the network acts, shown rows of an array of that kind."""

    def trained(self) -> dict[str, Path]:
        return {**super().trained(), "unet": part(self.recipe.base, "unet", "mini-unet")}

    def build(self, channels: int, side: int, text_width: int) -> None:
        from diffusers import UNet2DConditionModel

        recipe, folder = self.recipe, self.folders["unet"]
        base: Any = UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32)
        base.to(self.place.device).eval().requires_grad_(False)
        if base.config["in_channels"] != channels or base.config["cross_attention_dim"] != text_width:
            raise BadInput(f"base: the U-Net in {folder} is none that paints {channels} latent channels from words")
        schedule = folder.parent / "scheduler" / "scheduler_config.json"
        self.schedule, parameterization = noise_schedule(read_json(schedule), str(folder.parent))
        said = StockObjective.model_validate(
            {"parameterization": parameterization, "table": self.schedule.count}
            | {name: getattr(recipe, name).model_dump() for name in ("weighting", "times")}
        )
        self.backbone, self.objective = UNetBackbone(base), Objective(said, self.schedule)
        self.network = self.make(base)

    def condition(self, rows: np.ndarray, which: list[int], dropped: Tensor, generator: torch.Generator) -> Condition:
        """Besides the caption what is shown of each picture, all of one kind."""
        turns = self.turns()
        kind = turns[int(torch.randint(len(turns), (), generator=generator))]
        shown = self.on_device(self.kinds[kind][0][rows])
        return super().condition(rows, which, dropped, generator).adding(self.control(shown, kind))

    def on_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self.place.device)

    def grids(self) -> dict[str, np.ndarray]:
        """The picture, what is shown of it, and what the base makes of that and the caption, three by three."""
        p = self.recipe.preview
        rows = np.arange(min(p.count, len(self.test_set)))
        pictures, found = self.test_set.pictures[rows], {}
        said = [self.test_set.captions[i][0] for i in rows]
        for kind, (_, arrays) in enumerate(self.kinds):
            with self.place.autocast(), torch.no_grad():
                control = self.control(self.on_device(arrays[rows]), kind)
                painted = to_pixels(self.draw(said, 1, p.steps, p.guidance, p.seed, control))
            looked = arrays[rows] if arrays.ndim == 4 else pictures
            sheet: Any = np.stack([pictures, looked, painted], 1).reshape(-1, *painted.shape[1:])
            found[self.title(kind)] = report.grid(sheet, 6, zoom=2)
        return found

    def title(self, kind: int) -> str:
        """What a kind of control is called."""
        return "shown"

    def figures(self) -> dict[str, float]:
        """The unweighted loss of held-back pictures over all times, shown what belongs to each, what belongs to
        another, and nothing: the same noise each time, so that what differs is what was learned. "obeyed" is the share
        of pictures that what belongs to them suits better than what belongs to another: 1/2 of what was not learned."""
        found: dict[str, float] = {}
        for kind in range(len(self.kinds)):
            name = f"{self.title(kind)}_" if len(self.kinds) > 1 else ""
            each = {
                way: report.each_by_quarter(partial(self._tested, way, kind), len(self.test_set)).mean(0)
                for way in get_args(Way)
            }
            found |= {f"{name}loss_{way}": float(losses.mean()) for way, losses in each.items()}
            found[f"{name}obeyed"] = float((each["right"] < each["wrong"]).mean())
        return found

    def _tested(self, way: Way, kind: int, rows: np.ndarray, quarter: int, generator: torch.Generator) -> Tensor:
        """The loss of held-back pictures, given their captions."""
        captions = self.captions.encode([self.test_set.captions[i][0] for i in rows])
        condition = Condition((Text(captions),))
        if way != "without":
            other = (rows + (way == "wrong")) % len(self.test_set)
            condition = condition.adding(self.control(self.on_device(self.kinds[kind][1][other]), kind))
        x0 = (self.on_device(self.tested[rows]).float() - self.space.shift) * self.space.scale
        t = report.times_in(quarter, len(rows), generator)
        return self.objective.at(self.told(condition), x0, t, generator)

    def finish(self, export: Path) -> dict[str, float]:
        """Saves the network alone."""
        self.save(export)
        with self.place.autocast():
            return self.figures()

    @abstractmethod
    def save(self, export: Path) -> None:
        """Writes the network in the ecosystem's folder format."""
