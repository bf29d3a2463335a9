"""A U-Net that sees a layout beside the noisy latents: Make-A-Scene's map of classes (Gafni et al. 2022), or SpaText's
map of segments filled with their CLIP embeddings (Avrahami et al. 2023).

Trained from a text-to-image U-Net whose first convolution is widened by zeros, so that at step 0 it is that network.
Caption and layout are dropped independently of each other, so that each of them can guide by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from sfumato.condition import Condition, Layout, Text
from sfumato.data import layouts as drawn
from sfumato.data.array_cache import digest
from sfumato.data.class_colours import GROUPS, PALETTE, painted
from sfumato.data.vignettes import SEMANTIC_NAMES
from sfumato.data.world import Vignettes
from sfumato.element.section import Count, Few, Fraction, Named, Section
from sfumato.encode.clip import Clip, load_clip
from sfumato.encode.scene_layout import SceneMap
from sfumato.encode.spatio_textual import scaled
from sfumato.formats.layouts import SceneLayouts, SpatioTextualLayouts, write_layouts
from sfumato.network.unet2d_condition import UNetBackbone
from sfumato.picture import BadInput
from sfumato.train import report, rng
from sfumato.train.encodings import encoded, fingerprint, part
from sfumato.train.hyperparameters import HeldBack
from sfumato.train.task import Place, register, to_pixels
from sfumato.train.tasks.diffusion import DiffusionTask, LatentDiffusion


class OfClasses(Section):
    """The classes of the built-in world, in three groups (Gafni et al. 2022, section 3.1)."""

    kind: Literal["scene"] = "scene"


class OfSegments(Section):
    """Of a picture's segments 1 to `most` are shown, filled with what the image tower of `clip` makes of each, cut out
    on black (Avrahami et al. 2023, section 3.1)."""

    kind: Literal["spatio-textual"] = "spatio-textual"
    most: Few = 5
    clip: Path = Path("mini")


class LaidOut(Section):
    """A sample grid: `count` pictures held back, each beside its layout and what is made of that and the caption."""

    count: Few = 8
    steps: Few = 20
    guidance: Annotated[float, Field(ge=0)] = 4.0
    seed: Count = 0


class LayoutRecipe(LatentDiffusion):
    """`begin` goes on from a text-to-image U-Net, widened, or from one that sees such layouts. `blank` is how often the
    layout is dropped. `held_back` pictures say how much better the right layout makes the answer than a wrong one."""

    task: Literal["layout"]
    layout: Annotated[OfClasses | OfSegments, Field(discriminator="kind"), Named] = OfClasses()
    blank: Fraction = 0.1
    held_back: HeldBack = 128
    preview: LaidOut = LaidOut()


@register
class LayoutTask(DiffusionTask):
    section = LayoutRecipe

    def __init__(self, recipe: LayoutRecipe, place: Place):
        if not isinstance(recipe.data, Vignettes):
            raise BadInput("task layout: only vignettes know where things lie; give data: {kind: vignettes}")
        kinds = {"scene": ScenePlanes, "spatio-textual": SegmentPlanes}
        self.kind = kinds[recipe.layout.kind]
        if recipe.layout.kind == "spatio-textual":
            self.clip_folder = part(recipe.layout.clip, "clip", "mini-clip")  # type: ignore[union-attr]
        super().__init__(recipe, place, recipe.held_back)
        self.backbone = UNetBackbone(self.network, layout=self.beside(self.shape[0]))
        self.layouts = self.kind(self, after=False)
        self.others = self.kind(self, after=True)
        self.key = digest(self.key, self.layouts.key)

    def beside(self, channels: int) -> int:
        return self.kind.channels(self)

    def condition(self, rows: np.ndarray, which: list[int], dropped: Tensor, generator: torch.Generator) -> Condition:
        """Besides the caption the picture's layout, or none."""
        planes = self.layouts(rows, self.shape[1:], generator)
        blank = torch.rand(len(rows), generator=generator) < self.recipe.blank
        planes = planes * (~blank)[:, None, None, None]
        layout = Layout(planes.to(self.place.device))
        return super().condition(rows, which, dropped, generator).adding(layout)

    def grids(self) -> dict[str, np.ndarray]:
        """The picture, its layout, and what the network makes of that and the caption, three by three."""
        p = self.recipe.preview
        rows = np.arange(min(p.count, len(self.test_set)))
        planes = self.others(rows, self.shape[1:], rng.generator(p.seed, "layout"))
        said = [self.test_set.captions[i][0] for i in rows]
        with self.place.autocast():
            made = self.draw(said, 1, p.steps, p.guidance, p.seed, Layout(planes.to(self.place.device)))
        shown = [to_pixels(self.test_set.batch(rows)), self.others.shown(rows), to_pixels(made)]
        sheet: Any = np.stack(shown, 1).reshape(-1, *shown[0].shape[1:])
        return {"layouts": report.grid(sheet, 6, zoom=2)}

    def finish(self, export: Path) -> dict[str, float]:
        figures = super().finish(export)
        self.layouts.write(export)
        return {**figures, **self.obeyed()}

    @torch.no_grad()
    def obeyed(self) -> dict[str, float]:
        """The unweighted loss of pictures held back, told the right layout, that of another picture, and none."""
        rows = np.arange(len(self.test_set))
        planes = self.others(rows, self.shape[1:], rng.generator("layouts of what is held back"))
        kinds = {"right": planes, "wrong": planes.roll(1, 0), "without": torch.zeros_like(planes)}
        sums = dict.fromkeys(kinds, 0.0)
        for start in range(0, len(rows), 64):
            some = rows[start : start + 64]
            with self.place.autocast():
                x0 = self.space.encode(self.test_set.batch(some).to(self.place.device)).float()
                words = self.captions.encode([self.test_set.captions[i][0] for i in some]).float()
            for quarter in range(4):
                for name, given in kinds.items():
                    generator = rng.generator("obeyed", start, quarter)
                    t = report.times_in(quarter, len(some), generator)
                    layout = Layout(given[some].to(self.place.device))
                    network = self.told(Condition((Text(words.to(self.place.device)), layout)))
                    sums[name] += float(self.objective.at(network, x0, t, generator).sum()) / 4
        return {f"loss_{name}": total / len(rows) for name, total in sums.items()}


class ScenePlanes:
    """The planes of maps of classes."""

    scene = SceneMap(PALETTE, GROUPS)

    def __init__(self, task: LayoutTask, after: bool) -> None:
        recipe = task.recipe
        self.maps = drawn.class_maps(recipe.data, task.place.cache, after=recipe.held_back if after else 0)
        known = {name: number for number, name in enumerate(PALETTE, 1)}
        self.numbers = torch.tensor([known.get(name, 0) for name in SEMANTIC_NAMES])
        self.key = digest(PALETTE, GROUPS)

    @classmethod
    def channels(cls, task: LayoutTask) -> int:
        return cls.scene.channels

    def __call__(self, rows: np.ndarray, cells: tuple[int, ...], generator: torch.Generator) -> Tensor:
        numbers = self.numbers[torch.from_numpy(self.maps[rows]).long()]
        return self.scene.of(numbers, (cells[0], cells[1]))

    def shown(self, rows: np.ndarray) -> np.ndarray:
        return painted(self.maps[rows])

    def write(self, export: Path) -> None:
        said = SceneLayouts(kind="sfumato-scene", palette=PALETTE, groups=GROUPS)
        write_layouts(export, said)


class SegmentPlanes:
    """The planes of segments, each filled with what CLIP sees of it."""

    def __init__(self, task: LayoutTask, after: bool) -> None:
        recipe, place = task.recipe, task.place
        self.most, self.folder, self.data = recipe.layout.most, task.clip_folder, recipe.data
        self.after, self.place = after, place
        source = task.test_set if after else task.train_set
        self.maps = drawn.segments(recipe.data, place.cache, after=recipe.held_back if after else 0)
        self.clip = load_clip(self.folder)
        of = source.key, fingerprint(self.folder), drawn.MOST
        self.key = digest(*of)

        def embed(start: int, stop: int) -> Tensor:
            rows = np.arange(start, stop)
            return embedded(self.clip, source.batch(rows), torch.from_numpy(self.maps[rows]))

        self.embeddings = encoded(place, "segments", "embeddings", of, embed, len(source), 32)

    @classmethod
    def channels(cls, task: LayoutTask) -> int:
        return int(load_clip(task.clip_folder).network.config.projection_dim)

    def __call__(self, rows: np.ndarray, cells: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Of each picture 1 to `most` of its segments."""
        maps, embeddings = torch.from_numpy(self.maps[rows]).long(), torch.from_numpy(self.embeddings[rows]).float()
        count = torch.randint(1, self.most + 1, (len(rows), 1), generator=generator)
        there = embeddings.square().sum(-1) > 0
        turn = torch.where(there, torch.rand(there.shape, generator=generator), torch.inf).argsort(1).argsort(1)
        kept = (turn < count) & there
        covers = functional.one_hot(maps, drawn.MOST + 1)[..., 1:].permute(0, 3, 1, 2).float()
        covers = functional.interpolate(covers, (cells[0], cells[1]), mode="area") * kept[:, :, None, None]
        return torch.einsum("bkhw,bkd->bdhw", covers, scaled(embeddings))

    def shown(self, rows: np.ndarray) -> np.ndarray:
        shades = np.linspace(0, 255, drawn.MOST + 1).astype(np.uint8)[self.maps[rows]]
        return np.repeat(shades[..., None], 3, -1)

    def write(self, export: Path) -> None:
        """layout/, the CLIP, and the prior: embeddings of words -> those of segments, by ridge regression."""
        import shutil

        width = self.embeddings.shape[-1]
        shutil.copytree(self.folder, export / "clip", dirs_exist_ok=True)
        said = SpatioTextualLayouts(kind="sfumato-spatio-textual", width=width)
        write_layouts(export, said, prior(*self.pairs(), ridge=1e-2))

    def pairs(self, most: int = 4000) -> tuple[Tensor, Tensor]:
        """The embeddings of segments' words and those of the segments themselves, of length 1, (N, D) each."""
        classes = drawn.class_maps(self.data, self.place.cache)
        words, seen = [], []
        for row in range(min(most, len(self.maps))):
            for k in range(drawn.MOST):
                inside = self.maps[row] == k + 1
                if inside.any():
                    words.append(drawn.words_of(self.data, row, classes[row][inside]))
                    seen.append(torch.from_numpy(self.embeddings[row, k].astype(np.float32)))
        distinct = list(dict.fromkeys(words))
        text = functional.normalize(self.clip.text(distinct).cpu(), dim=-1)
        number = {word: n for n, word in enumerate(distinct)}
        return text[[number[word] for word in words]], functional.normalize(torch.stack(seen), dim=-1)


def embedded(clip: Clip, pictures: Tensor, maps: Tensor) -> Tensor:
    """The embeddings (B, MOST, D) of the segments of pictures (B, 3, S, S), zeros where there are fewer: each segment
    alone on black, cut to its box and enlarged to the size of the tower (section 3.1 of SpaText)."""
    found = torch.zeros(len(pictures), drawn.MOST, int(clip.network.config.projection_dim))
    cuts, places = [], []
    for row, (picture, numbers) in enumerate(zip(pictures, maps, strict=True)):
        for k in range(drawn.MOST):
            ys, xs = (numbers == k + 1).nonzero(as_tuple=True)
            if len(ys):
                box = (slice(None), slice(int(ys.min()), int(ys.max()) + 1), slice(int(xs.min()), int(xs.max()) + 1))
                alone = torch.where(numbers == k + 1, picture, torch.tensor(-1.0))[box]
                cuts.append(functional.interpolate(alone[None], (clip.size, clip.size), mode="bilinear"))
                places.append((row, k))
    if cuts:
        rows, numbers = (list(each) for each in zip(*places, strict=True))
        found[rows, numbers] = clip.image(torch.cat(cuts)).cpu()
    return found


def prior(words: Tensor, seen: Tensor, ridge: float) -> dict[str, Tensor]:
    """The affine map of `words` (N, D) to `seen` (N, D) of the least squares, with N ridge |weight|^2 beside them."""
    x, y = words - words.mean(0), seen - seen.mean(0)
    gram = x.T @ x / len(x) + ridge * torch.eye(x.shape[1]) / x.shape[1]
    weight = torch.linalg.solve(gram, x.T @ y / len(x)).T
    return {"weight": weight, "bias": seen.mean(0) - weight @ words.mean(0)}
