"""What a text-conditional U-Net learns best by, at equal time: mini's, from nothing, each choice by itself.

Run: python benchmarks/choices.py [NAME ...] [--minutes 30] [--count 128] [--output runs]

Every choice trains the recipe `mini-unet` with one thing changed, on mini's own autoencoder and text encoder, for the
same time of the same machine; what is made ready before (drawing, latents, captions, maps) is not counted. The judge
then reads what stated attributes the pictures show (bfloat16, 20 steps, guidance 5), of seen and of held-out
compositions, at the end and at the checkpoints on the way. The last two columns say how many steps, and how much of
the time, a choice took until its pictures were read as well as those of the first at its end. A run that was stopped
goes on where it was.

What the library has no name for is a task of this file's own, as a plugin would add it:

    flow        x_t = (1 - t) x0 + t eps, F = eps - x0 (Lipman et al. 2023), t logit-normal (Esser et al. 2024, eq. 19)
    semantic    a second target, thrown away after: a 1 x 1 convolution reads what thing stands in each cell of 8 x 8
                pixels off the second last level (where REPA has an encoder's features, Yu et al. 2025; here the truth
                is known)
    text        the text encoder, begun as mini's, is trained along
    larger text encoder    is trained before, as long as mini's own: `sfumato train mini-clip --output
                runs/mini-clip-larger --set minutes=20 --set network.text='{width: 384, layers: 6, heads: 6}'`
    muon        Muon (Jordan et al. 2024) for matrices, AdamW for kernels and vectors, at one learning rate
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import sfumato
from sfumato import train
from sfumato.condition import Condition, Text
from sfumato.data import array_cache, vignettes
from sfumato.evaluate import evaluation
from sfumato.evaluate.judge import Judge
from sfumato.formats import stable_diffusion
from sfumato.network.clip_text_model import CLIP_TEXT
from sfumato.network.engine import Eager
from sfumato.network.unet2d_condition import UNetBackbone
from sfumato.schedule.flow import Flow
from sfumato.train import loop, optimizer
from sfumato.train.objective import Network, Objective
from sfumato.train.objective.losses import FreeObjective
from sfumato.train.task import register
from sfumato.train.tasks.diffusion import DiffusionRecipe, DiffusionTask, unet
from sfumato.train.tokens import encode

FLOW = "{parameterization: flow, weighting: uniform, times: logit-normal, schedule: flow}"
WORN = "{hat: 10, scarf: 10, mask: 10, glasses: 10, headset: 10}"
CHOICES: Mapping[str, tuple[str, ...]] = {
    "as shipped": (),
    "x0": ("objective.parameterization=x0",),
    "eps": ("objective.parameterization=eps",),
    "flow": ("task=choice-flow", f"objective={FLOW}"),
    "v, logit-normal": ("objective.times=logit-normal",),
    "v, logit-normal, no min-SNR": ("objective.times=logit-normal", "objective.weighting=uniform"),
    "no min-SNR": ("objective.weighting=uniform",),
    "muon": (),
    "text": ("task=choice-text",),
    "semantic": ("task=choice-semantic",),
    "focus, no min-SNR": (f"data.focus={WORN}", "objective.weighting=uniform"),
    "wider": ("network.channels=[96, 160, 256]", "network.heads=[1, 2, 4]"),
    "narrower": ("network.channels=[48, 80, 128]", "network.heads=[1, 2, 2]"),
    "larger text encoder": ("text_encoder=runs/mini-clip-larger/export",),
}
COMMON = (
    *("data.seed=11", "data.count=24000", "begin=null", "autoencoder=mini", "text_encoder=mini", "ema.decay=0.998"),
    *("every.save=200", "every.sample=1000000", "preview.each=1", "keep=60", "steps=1000000"),
)


class FlowRecipe(DiffusionRecipe):
    task: Literal["choice-flow"]  # pyright: ignore[reportIncompatibleVariableOverride]
    objective: FreeObjective = FreeObjective()


@register
class FlowTask(DiffusionTask):
    section = FlowRecipe

    def build(self, channels: int, side: int, text_width: int) -> None:
        self.network = unet(self.recipe.network, side, channels, text_width)
        self.backbone = UNetBackbone(self.network)
        self.schedule = Flow()
        self.objective = Objective(self.recipe.objective, self.schedule)

    def told(self, condition: Condition) -> Network:
        return lambda x, t: self.backbone(x, 1000 * t.float(), condition)

    def grids(self) -> dict[str, np.ndarray]:
        return {}

    def finish(self, export: Path) -> dict[str, float]:
        stable_diffusion.write(export, self.network, self.folders, {"_class_name": "FlowMatchEulerDiscreteScheduler"})
        return {}


class Both(nn.Module):
    """A U-Net and what learns beside it."""

    def __init__(self, network: nn.Module, beside: nn.Module):
        super().__init__()
        self.unet, self.beside = network, beside


class Beside(DiffusionTask):
    """Another module learns with the U-Net."""

    def finish(self, export: Path) -> dict[str, float]:
        both, self.network = self.network, self.network.unet
        figures = super().finish(export)
        self.network = both
        return figures


class TextRecipe(DiffusionRecipe):
    task: Literal["choice-text"]  # pyright: ignore


@register
class TextTask(Beside):
    section = TextRecipe

    def build(self, channels: int, side: int, text_width: int) -> None:
        from transformers import CLIPTextModel

        super().build(channels, side, text_width)
        encoder: Any = CLIPTextModel.from_pretrained(self.folders["text_encoder"], dtype=torch.float32)
        self.network = Both(self.network, encoder)
        self.captions.encoder = Eager().prepare(encoder, CLIP_TEXT)
        said = [[each[k % len(each)] for k in range(self.recipe.paraphrases)] for each in self.train_set.captions]
        self.ids = encode(self.captions.tokenizer, ["", *(text for row in said for text in row)])

    def condition(self, rows: np.ndarray, which: list[int], dropped: Tensor, generator: torch.Generator) -> Condition:
        number = 1 + torch.from_numpy(rows) * self.recipe.paraphrases + torch.tensor(which)
        return Condition((Text(self.captions.encoder(ids=self.ids[number.masked_fill(dropped, 0)])),))

    def finish(self, export: Path) -> dict[str, float]:
        figures = super().finish(export)
        self.network.beside.save_pretrained(export / "text_encoder")
        return figures


class SemanticRecipe(DiffusionRecipe):
    task: Literal["choice-semantic"]  # pyright: ignore
    weight: float = 0.1


@register
class SemanticTask(Beside):
    section = SemanticRecipe

    def build(self, channels: int, side: int, text_width: int) -> None:
        super().build(channels, side, text_width)
        seen: Any = self.network.up_blocks[-2]
        seen.register_forward_hook(lambda module, given, answer: setattr(self, "seen", answer))
        width = self.recipe.network.channels[1]
        self.network = Both(self.network, nn.Conv2d(width, len(vignettes.SEMANTIC_NAMES), 1))
        self.maps = self._maps(side)

    def _maps(self, side: int) -> np.ndarray:
        """What stands at the middle of each cell, (n, side, side) uint8."""
        data, pixels = self.recipe.data, 4

        def compute(spans: list[tuple[int, int]]) -> Any:
            for start, stop in spans:
                scenes = [vignettes.scene(data.seed, data.first + i, data.split) for i in range(start, stop)]
                maps = [vignettes.draw(scene, side * pixels).semantic[2::pixels, 2::pixels] for scene in scenes]
                yield start, {"semantic": np.stack(maps)}

        shape = {"semantic": ((side, side), np.uint8)}
        key = array_cache.digest(self.train_set.key, "semantic", side)
        return array_cache.arrays(self.place.cache, "semantic", key, shape, compute, data.count, 256)["semantic"]

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        loss, logs = super().forward(indices, step, generator)
        read = self.network.beside(self.seen).float()
        told = cross_entropy(read, torch.from_numpy(self.maps[indices]).long().to(read.device))
        return loss + self.recipe.weight * told, {**logs, "loss_semantic": told}


class MuonForMatrices(torch.optim.Optimizer):
    """Muon for what has two sides, AdamW for all else, at one learning rate (Liu et al. 2025: updates of AdamW's
    size)."""

    def __init__(self, network: nn.Module, o: Any) -> None:
        weights = [w for w in network.parameters() if w.requires_grad]
        matrices, others = [w for w in weights if w.ndim == 2], nn.ParameterList(w for w in weights if w.ndim != 2)
        muon = torch.optim.Muon(matrices, o.lr, weight_decay=o.weight_decay, adjust_lr_fn="match_rms_adamw")
        self.parts = (muon, optimizer.adamw(others, o))
        super().__init__([group for part in self.parts for group in part.param_groups], {})

    def step(self, closure: Any = None) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def options(doc: str | None, choices: Mapping[str, tuple[str, ...]], count: int) -> argparse.Namespace:
    """What the command line says: the names of choices, by default of all, and how they are trained and read."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("names", nargs="*", default=[], metavar="NAME", help=", ".join(choices))
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--output", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], dest="more", help="of all: data.count=2000")
    o = parser.parse_args()
    if unknown := [name for name in o.names if name not in choices]:
        parser.error(f"there is no choice {unknown[0]!r}: {', '.join(choices)}")
    o.names = o.names or list(choices)
    return o


def trained(recipe: str, name: str, said: tuple[str, ...], o: argparse.Namespace) -> Path:
    """Trains a choice of a recipe, or goes on with it, and answers its folder."""
    run: Path = o.output / f"{recipe}-{name.replace(',', '').replace(' ', '-')}"
    if not (run / "figures.json").exists():
        train.run(recipe, out=run, overrides=[*said, f"minutes={o.minutes}", *o.more])
    return run


def _pipe(name: str, run: Path, checkpoint: Path | None = None) -> Any:
    pipe = sfumato.load(run / "export", precision="bfloat16")
    stage = pipe.stages[0]
    if checkpoint is not None:
        state = load_file(checkpoint / "ema.safetensors")
        own = {key.removeprefix("unet."): value for key, value in state.items() if not key.startswith("beside.")}
        stage.networks[stage.painter].load_state_dict(own)
        if name == "text":
            text = {key.removeprefix("beside."): value for key, value in state.items() if key.startswith("beside.")}
            stage.networks["text_encoder"].load_state_dict(text)
    return pipe


def read(name: str, run: Path, count: int, checkpoint: Path | None = None) -> dict[str, Any]:
    """What the judge reads right, in percent."""
    asked = {"seed": evaluation.SEED, "steps": 20, "guidance": 5.0, "sampler": "dpmpp-2m"}
    found = evaluation.evaluate(_pipe(name, run, checkpoint), Judge.load(), count=count, bar=False, **asked)
    seen, held = found.splits["seen"].scores, found.splits["held-out"].scores
    worn = ("hat", "scarf", "mask", "glasses", "headset")
    right = [part.attributes[each].value * part.attributes[each].total for part in (seen, held) for each in worn]
    all_worn = [part.attributes[each].total for part in (seen, held) for each in worn]
    return {
        "seen": 100 * seen.stated.value,
        "held": 100 * held.stated.value,
        "between": [100 * seen.stated.low, 100 * seen.stated.high],
        "worn": 100 * float(np.nansum(right)) / max(1, sum(all_worn)),
    }


def measured(name: str, run: Path, count: int) -> dict[str, Any]:
    """The figures of a choice, kept beside it: steps, pictures, what is read at the end and on the way."""
    file = run / f"read-{count}.json"
    if file.exists():
        return json.loads(file.read_text())
    done = json.loads((run / "figures.json").read_text())
    began = time.perf_counter()
    steps = sorted((run / "checkpoints").glob("step-*"))
    way = [(int(path.name[5:]), read(name, run, max(1, count // 2), path)["seen"]) for path in steps[:-1]]
    end = read(name, run, count)
    told = {"steps": done["steps"], "pictures": done["pictures"], "minutes": 60 * done["hours"], **end}
    told |= {"way": [*way, (done["steps"], end["seen"])], "seconds": time.perf_counter() - began}
    file.write_text(json.dumps(told))
    return told


def reached(way: list[list[float]], mark: float) -> float | None:
    """The step at which a curve first reads as well as `mark`, between its points by a line."""
    before = (0.0, 0.0)
    for step, value in way:
        if value >= mark:
            return before[0] + (step - before[0]) * (mark - before[1]) / max(value - before[1], 1e-9)
        before = (step, value)
    return None


def main() -> None:
    o = options(__doc__, CHOICES, 128)
    found: dict[str, dict[str, Any]] = {}
    for name in o.names:
        loop.adamw = MuonForMatrices if name == "muon" else optimizer.adamw  # pyright: ignore
        run = trained("mini-unet", name, (*COMMON, *CHOICES[name]), o)
        found[name] = measured(name, run, o.count)
        first = found[o.names[0]]
        table = Table(title=f"mini's U-Net from nothing, {found[name]['minutes']:.1f} minutes each")
        columns = ("choice", "steps", "seen %", "95 %", "held out %", "worn %", "steps to the first's", "of the time")
        for column in columns:
            table.add_column(column)
        for each, figures in found.items():
            at = reached(figures["way"], first["seen"])
            low, high = figures["between"]
            shown = ["-", "-"] if at is None else [f"{at:.0f}", f"{at / figures['steps']:.2f}"]
            table.add_row(
                *(each, f"{figures['steps']:,}", f"{figures['seen']:.1f}", f"{low:.0f} to {high:.0f}"),
                *(f"{figures['held']:.1f}", f"{figures['worn']:.1f}", *shown),
            )
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
