"""Networks that read a map off a picture (edges, depth, normals, joints, classes), trained on the truth of vignettes.

E loss(network(picture), truth),        the mean over the network's outputs where it has several
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as nf
from pydantic import Field, model_validator
from torch import Tensor

from sfumato.data.vignette_edges import lined
from sfumato.data.vignette_truth import JOINTS, drawn_truth
from sfumato.data.vignettes import SEMANTIC_NAMES
from sfumato.data.world import Vignettes, order
from sfumato.element.section import Section, Width
from sfumato.network.depth_network import DepthNetwork
from sfumato.network.edge_network import EdgeNetwork
from sfumato.network.engine import Eager
from sfumato.network.keypoint_network import KeypointNetwork, peaks
from sfumato.network.map_network import MAPS, MapNetwork
from sfumato.network.normal_network import NormalNetwork
from sfumato.network.r2u_net import AttentionR2UNet
from sfumato.picture import BadInput
from sfumato.train.hyperparameters import Common, HeldBack, Stored
from sfumato.train.objective.map_losses import MapLoss
from sfumato.train.task import DTYPES, Place, Task, batches, register

Truth = dict[str, np.ndarray]
MIRRORED = tuple(
    JOINTS.index(name.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")) for name in JOINTS
)
"""The joint that each becomes in a mirror."""


@dataclass(frozen=True)
class Lesson:
    """What a kind of network learns: its class, what its channels are, the kind of loss, the truth of some rows as the
    loss takes it, and the same in a mirror of that width. shows: by which metrics it is measured; pairs: what it found
    in a picture beside the truth, as these compare them, by the name that a figure has besides the metric's.
    """

    network: type[MapNetwork]
    names: tuple[str, ...]
    loss: str
    target: Callable[[Truth, np.ndarray], Tensor]
    shows: str
    pairs: Callable[[Tensor, Tensor], Iterator[tuple[str, np.ndarray, np.ndarray]]]
    mirrored: Callable[[Tensor, int], Tensor] = lambda target, width: target.flip(-1)


def _mirrored_joints(target: Tensor, width: int) -> Tensor:
    """(B, J, 3): left and right change places."""
    there = target[:, MIRRORED, 2:]
    return torch.cat([(width - target[:, MIRRORED, :1]) * there, target[:, MIRRORED, 1:2], there], -1)


def _edges(logits: Tensor, target: Tensor) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for name, found, true in zip(("contours", "lines"), logits.sigmoid().numpy(), target.numpy(), strict=True):
        yield f"_{name}", found, true


def _nearness(logits: Tensor, target: Tensor) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    yield "", logits[0].sigmoid().numpy(), target[0].numpy()


def _mirrored_normals(target: Tensor, width: int) -> Tensor:
    """(B, 3, H, W): what faced left faces right."""
    return target.flip(-1) * target.new_tensor([-1, 1, 1])[:, None, None]


def _normals(answer: Tensor, target: Tensor) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    yield "", nf.normalize(answer, dim=0).movedim(0, -1).numpy(), target.movedim(0, -1).numpy()


def _joints(logits: Tensor, target: Tensor) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    found = peaks(logits.sigmoid()[None])[0].numpy()
    found[:, 2] = ~np.isnan(found[:, 0])
    yield "", found, target.numpy()


def _classes(logits: Tensor, target: Tensor) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    yield "", logits.argmax(0).numpy(), target.numpy()


LESSONS = {
    "edges": Lesson(
        EdgeNetwork,
        ("contours", "lines"),
        "dice-focal",
        lambda truth, rows: torch.from_numpy(lined(truth["edges"][rows])).movedim(-1, 1).float(),
        "edges",
        _edges,
    ),
    "depth": Lesson(
        DepthNetwork,
        ("nearness",),
        "depth",
        lambda truth, rows: 1 - torch.from_numpy(truth["depth"][rows]).float()[:, None],
        "depth",
        _nearness,
    ),
    "normal": Lesson(
        NormalNetwork,
        ("x", "y", "z"),
        "normal",
        lambda truth, rows: nf.normalize(torch.from_numpy(truth["normals"][rows]).float(), dim=-1).movedim(-1, 1),
        "normals",
        _normals,
        _mirrored_normals,
    ),
    "keypoints": Lesson(
        KeypointNetwork,
        JOINTS,
        "heatmaps",
        lambda truth, rows: torch.from_numpy(truth["joints"][rows]),
        "joints",
        _joints,
        _mirrored_joints,
    ),
    "segmentation": Lesson(
        AttentionR2UNet,
        SEMANTIC_NAMES,
        "dice-focal",
        lambda truth, rows: torch.from_numpy(truth["semantic"][rows].astype(np.int64)),
        "classes",
        _classes,
    ),
}


class Shape(Section):
    """The kind of network, and its channels level by level; its own widths where none are said."""

    kind: Literal["edges", "depth", "normal", "keypoints", "segmentation"]
    widths: Annotated[tuple[Width, ...], Field(max_length=8)] = ()


class MapRecipe(Common):
    """A network of `network.kind`, by the loss that goes with it. Half of the pictures are mirrored, and all softened
    as autoencoders and diffusion models soften them."""

    task: Literal["map"]
    network: Shape
    loss: MapLoss
    held_back: HeldBack = 256
    export: Stored = "float16"

    @model_validator(mode="after")
    def _fits(self) -> MapRecipe:
        if (wanted := LESSONS[self.network.kind].loss) != self.loss.kind:
            raise ValueError(f"{self.network.kind} is learned by the loss '{wanted}', not '{self.loss.kind}'")
        return self


@register
class MapTask(Task):
    section = MapRecipe

    def __init__(self, recipe: MapRecipe, place: Place):
        if not isinstance(recipe.data, Vignettes):
            raise BadInput("a map is learned from ground truth: data.kind must be vignettes")
        super().__init__()
        self.recipe, self.place, self.lesson = recipe, place, LESSONS[recipe.network.kind]
        data = recipe.data
        self.truth, self.key = drawn_truth(data, place.cache)
        self.order = order(data, len(self.truth["pictures"]))
        after = data.model_copy(update={"first": data.first + data.count, "count": recipe.held_back})
        self.test_truth, _ = drawn_truth(after, place.cache)
        widths = {"widths": recipe.network.widths} if recipe.network.widths else {}
        self.network = self.lesson.network(names=self.lesson.names, size=data.size, **widths)
        self.run = Eager().prepare(self.network, MAPS)

    def __len__(self) -> int:
        return len(self.order)

    def batch(self, seed: int, number: int, size: int) -> np.ndarray:
        return self.order[super().batch(seed, number, size)]

    def inputs(self) -> str:
        return self.key

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        from sfumato.evaluate.judge import softened

        pictures, target = self._rows(self.truth, indices)
        mirror = torch.rand(len(pictures), generator=generator) < 0.5
        flipped = self.lesson.mirrored(target, pictures.shape[-1])
        pictures = torch.where(_over(mirror, pictures), pictures.flip(-1), pictures)
        target = torch.where(_over(mirror, target), flipped, target).to(self.place.device)
        answers = self.run(pictures=softened(pictures, generator).to(self.place.device))
        losses = [self.recipe.loss(answer.float(), target) for answer in answers]
        return torch.stack(losses).mean(), {"loss_last": losses[-1].detach()}

    def _rows(self, truth: Truth, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(truth["pictures"][rows]).permute(0, 3, 1, 2)
        return pixels.float().div(127.5).sub(1).contiguous(), self.lesson.target(truth, rows)

    def finish(self, export: Path) -> dict[str, float]:
        """Saves the network; its figures on held-back pictures, by the metrics of maps."""
        from sfumato.evaluate.map_metric import metrics_of

        self.network.save(export / self.recipe.network.kind, DTYPES[self.recipe.export])
        found: dict[str, list[np.ndarray]] = {}
        metrics = metrics_of(self.lesson.shows)
        for rows in batches(len(self.test_truth["pictures"])):
            pictures, targets = self._rows(self.test_truth, rows)
            answers = self.run(pictures=pictures.to(self.place.device))[-1].float().cpu()
            for answer, target in zip(answers, targets, strict=True):
                for name, read, true in self.lesson.pairs(answer, target):
                    for key, metric in metrics.items():
                        found.setdefault(f"{key}{name}", []).append(metric.count(read, true))
        return {key: metrics[key.partition("_")[0]].value(np.sum(counts, 0)) for key, counts in found.items()}


def _over(rows: Tensor, like: Tensor) -> Tensor:
    """A value a row, in the shape of `like`'s rows."""
    return rows.view(-1, *[1] * (like.ndim - 1))
