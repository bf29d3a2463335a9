"""Personalization: a subject or a style from a handful of pictures, by any method of `sfumato.train.methods`.

E |F - F*|^2 over the pictures, told captions that name the subject; with prior preservation (Ruiz et al. 2023, eq. 2)
also lambda E |F - F*|^2 over pictures of its class that the model painted itself before, so that the class stays what
it was. The model is any that `sfumato.load` reads: its own schedule and parameterization say what F* is.
"""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sfumato import predict
from sfumato.adapt import adapters_in
from sfumato.adapt.adaptation import learning
from sfumato.adapt.words import LearnedWords, knowing
from sfumato.condition import Condition
from sfumato.data.array_cache import digest
from sfumato.data.buckets import Buckets
from sfumato.data.dataset import Dataset
from sfumato.element.section import Count, Few, Fraction, Section
from sfumato.model.adapted import adapted
from sfumato.model.load import load
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import plan_of
from sfumato.schedule import noised
from sfumato.train import report, rng
from sfumato.train.class_prior import EACH, Prior, asked, painted
from sfumato.train.encodings import encoded
from sfumato.train.fidelity_curve import FidelityCurve
from sfumato.train.hyperparameters import Averaging, Common
from sfumato.train.identifier import tokenizer_of
from sfumato.train.method import AnyMethod, Learner, Subject
from sfumato.train.methods.low_rank_adaptation import LoRAMethod
from sfumato.train.objective.times import LogitNormal, Table, Uniform, draw_times
from sfumato.train.remembered import Remembered
from sfumato.train.subject_pictures import Size, SubjectPictures, Templates, multiple_of_sides, named, size_of
from sfumato.train.task import DTYPES, Place, Task, hush, register
from sfumato.zoo.files import files_of


class Portraits(Section):
    """A sample grid: prompts in which {} is the subject. features: those by which it is measured how near it comes to
    the subject and to its prompts (`train.fidelity_curve`), named as in `sfumato evaluate --features`; nothing is
    measured where none are."""

    prompts: Templates = ("a painting of {}", "a pencil sketch of {}")
    each: Few = 4
    steps: Few = 20
    guidance: Annotated[float, Field(ge=1)] = 4.0
    seed: Count = 0
    features: str | None = None


class PersonalizeRecipe(Common):
    """`subject` is what prompts call it, `kind` the class that it is of. `captions` are those of pictures that have
    none of their own; {} is the subject, and for the prior's pictures the class. `size` is the pictures' side, the
    model's own by default; with `buckets` a picture that is no square is shown as wide or high as it is, at the area of
    that square, without them its middle square. `flip` shows each picture mirrored too, but those whose captions speak
    of left or right. `masks` is a folder of masks by the pictures' names, white where a picture counts: the loss is
    taken there, and in all of one that has none. `checkpointing` computes the network's inner values again on the way
    back (Chen et al. 2016): the same gradients in a fraction of the memory, for a third more time."""

    task: Literal["personalize"]
    model: str = "mini"
    subject: Annotated[str, Field(min_length=1, max_length=100)] = "sks"
    kind: Annotated[str, Field(max_length=100)] = ""
    method: AnyMethod = LoRAMethod()
    prior: Prior | None = None
    captions: Templates = ("a painting of {}",)
    size: Annotated[int, Field(ge=16, le=4096)] | None = None
    buckets: bool = True
    flip: bool = False
    masks: Path | None = None
    dropout: Fraction = 0.0
    checkpointing: bool = False
    ema: Averaging = Averaging(decay=0.0)
    preview: Portraits = Portraits()

    @model_validator(mode="after")
    def _has_a_class(self) -> PersonalizeRecipe:
        if self.prior is not None and not self.kind:
            raise ValueError("prior: it keeps a class as it was: say which, as kind: woman")
        if getattr(self.data, "repeat", None):
            raise ValueError("data.repeat: every picture of a subject comes as often as any: leave it out")
        if (size := type(self.data).model_fields.get("size")) and getattr(self.data, "size", None) != size.default:
            raise ValueError("data.size: how large pictures are learnt is said by 'size': leave data.size out")
        for name in ("subject", "kind"):
            if len(plan_of(getattr(self, name)).conjuncts) > 1:
                raise ValueError(f"{name}: AND joins prompts, and it is named by one: write and")
        if any("{}" not in each for each in (*self.captions, *self.preview.prompts)):
            raise ValueError("captions and preview.prompts name the subject as {}, as in 'a painting of {}'")
        return self


@register
class PersonalizeTask(Task):
    section = PersonalizeRecipe
    rehearses = True

    def __init__(self, recipe: PersonalizeRecipe, place: Place) -> None:
        super().__init__()
        hush("diffusers", "transformers")
        self.recipe, self.place = recipe, place
        self.pipe = load(recipe.model, precision="float32", device=place.device.type)
        self.weights = self.pipe.weights
        self.stage = stage = self.pipe.stage
        if not stage.capabilities.text or len(self.pipe.stages) > 1:
            raise BadInput(f"model: {recipe.model} is taught by words and in one stage: give one that takes a prompt.")
        own = recipe.size or stage.size[0]
        self.size = (own, own)
        self.shown = SubjectPictures(recipe, own, multiple_of_sides(stage, own), place)
        self.pictures, self.prior = self.shown.pictures, None
        if recipe.prior is not None:
            told = named(recipe.captions, recipe.kind)
            self.prior = painted(self.pipe, recipe.prior, told, self.size, recipe.seed, place)
        word, folder = recipe.subject, self.pipe.folders[0]
        networks = dict(stage.networks)
        self.stage = stage = replace(stage, networks=networks)
        subject = Subject(
            *(word, recipe.kind, networks, stage.painter, folder, rng.generator(recipe.seed, "learner")),
            tokenizer=tokenizer_of(stage.encoders, "CLIPTokenizer"),
        )
        self.network: Learner = recipe.method.begin(subject)
        if self.network.word_alone:
            self.shown.need(word)
        self.latents = [self._encoded(part, "subject") for part in self.pictures.parts]
        self.counts = self.shown.counts(self.latents)
        self.others = None if self.prior is None else self._encoded(self.prior, "class")
        self._read: dict[tuple[Size, str], Condition] = {}
        self._learning: AbstractContextManager[Any] = nullcontext()
        if recipe.checkpointing:
            self._checkpoint(networks[stage.painter])
        if not self.network.reads:
            self._free_readers(networks)
        self.curve = self._curve() if recipe.preview.features else None
        self._measured: dict[str, float] = {}

    def _checkpoint(self, painter: Any) -> None:
        """What is computed again is computed with the learner in its place, as it was the first time."""
        if not getattr(painter, "_supports_gradient_checkpointing", False):
            raise BadInput(f"checkpointing: the {self.stage.painter} of this model can't: leave it out")

        def again(module: nn.Module, *args: Any) -> Any:
            contexts = nullcontext(), self._learning
            return checkpoint(module.__call__, *args, use_reentrant=False, context_fn=lambda: contexts)

        painter.enable_gradient_checkpointing(again)

    def _free_readers(self, networks: dict[str, nn.Module]) -> None:
        """All that will be said is read once and kept; text encoders that are not taught are gone then."""
        dropped = [""] if self.recipe.dropout else []
        told = [*zip(map(size_of, self.pictures.parts), (part.captions for part in self.pictures.parts), strict=True)]
        if self.prior is not None:
            told.append((self.size, self.prior.captions))
        for size, captions in told:
            texts = list(dict.fromkeys([*dropped, *(each for said in captions for each in said)]))
            for start in range(0, len(texts), EACH):
                self._condition(texts[start : start + EACH], size, None)
        previews = self._previews()
        encoders = tuple(
            Remembered(each, previews, self.size, self.stage.denoiser.schedule) if each.tells.text else each
            for each in self.stage.encoders
        )
        for part in [name for name in networks if name.startswith("text_encoder")]:
            del networks[part]
        self.stage = replace(self.stage, encoders=encoders)
        self.pipe = replace(self.pipe, stages=(self.stage,))

    def _curve(self) -> FidelityCurve:
        p = self.recipe.preview
        kind = self.recipe.kind or self.recipe.subject
        words = [prompt for prompt in named(p.prompts, kind) for _ in range(p.each)]
        return FidelityCurve(str(p.features), self.shown.distinct(), words)

    def _encoded(self, pictures: Dataset, name: str) -> Tensor:
        def encode(start: int, stop: int) -> Tensor:
            return self.stage.space.encode(pictures.batch(np.arange(start, stop)).to(self.place.device))

        of = pictures.key, self.weights, self.size
        kept = encoded(self.place, f"{name} latents", "latents", of, encode, len(pictures), EACH)
        return torch.from_numpy(kept.copy()).float()

    def about(self) -> list[str]:
        """Pictures and captions; what is trained, in how much memory, and how large its files will be."""
        shown = self.shown.about()
        if self.prior is not None:
            shown += f"; {len(self.prior)} of the class beside them"
        trained = sum(p.numel() for p in self.network.parameters())
        held = {id(p): p.numel() * p.element_size() for n in self.stage.networks.values() for p in n.parameters()}
        more = 8 + self.recipe.optimizer.bits // 4  # bytes a number: its gradient and average, Adam's two means
        memory = sum(held.values()) + more * trained
        stored = getattr(self.recipe.method, "export", "float32")
        size = trained * DTYPES[stored].itemsize / 2**20
        return [
            f"{shown}.",
            f"{self.recipe.method.kind} trains {trained:,} numbers: about {size:.1f} MiB in {stored}; "
            f"{memory / 2**20:,.0f} MiB of memory beside what a step needs.",
        ]

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, seed: int, number: int, size: int) -> np.ndarray:
        return rng.bucketed_batch(seed, number, size, self.pictures.counts)

    def inputs(self) -> str:
        return digest(self.pictures.key, self.weights)

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over the subject's pictures, and lambda times that over as many of its class."""
        recipe, n = self.recipe, len(indices)
        said = [self._caption(self.pictures, int(i), step) for i in indices]
        dropped = torch.rand(n, generator=generator) < recipe.dropout
        said = ["" if drop else each for each, drop in zip(said, dropped.tolist(), strict=True)]
        part, rows = self.pictures.place(indices)
        x0, counts = self.latents[part][rows], self.counts[part][rows]
        # a word that no caption of the batch says has no gradient
        unsaid = sum(0 * each.sum() for each in self.network.parameters()) if self.network.reads else 0
        if self.prior is None or self.others is None or recipe.prior is None:
            return self._losses(x0, counts, said, generator).mean() + unsaid, {}
        rows = [rng.choice(len(self.prior), recipe.seed, "class", step, k) for k in range(n)]
        classes, named = self.others[rows], [self._caption(self.prior, row, step) for row in rows]
        whole = torch.ones_like(classes[:, :1])
        if classes.shape == x0.shape:
            both = torch.cat([x0, classes]), torch.cat([counts, whole.to(counts)]), said + named
            losses = self._losses(*both, generator)
        else:
            told = ((x0, counts, said), (classes, whole, named))
            losses = torch.cat([self._losses(*each, generator) for each in told])
        own, kept = losses[:n].mean(), losses[n:].mean()
        return own + recipe.prior.weight * kept + unsaid, {"loss_subject": own, "loss_class": kept}

    def _caption(self, pictures: Dataset | Buckets, row: int, step: int) -> str:
        said = pictures.captions[row]
        return said[rng.choice(len(said), self.recipe.seed, "caption", step, row)]

    def _losses(self, x0: Tensor, counts: Tensor, said: list[str], generator: torch.Generator) -> Tensor:
        """|F - F*|^2 of each row, the mean over its elements as much as they count, the learner in its place."""
        networks, bound = self.stage.networks, self.network.bind(self.stage.networks)
        words = LearnedWords(bound.words) if bound.words else None
        x0, counts = x0.to(self.place.device), counts.to(self.place.device)
        factor = self.stage.space.factor
        size = (x0.shape[-1] * factor, x0.shape[-2] * factor)
        self._learning = learning(networks, bound, words)
        with self._learning:
            condition = self._condition(said, size, words)
            t = self._times(len(x0), generator)
            eps = torch.randn(x0.shape, generator=generator).to(x0)
            denoiser: Any = self.stage.at(size).denoiser
            F = denoiser.output(noised(denoiser.schedule, x0, t, eps), t, condition).float()
        if denoiser.learned_variance:
            F = F.chunk(2, 1)[0]
        alpha, sigma = denoiser.schedule(t)
        before = predict.before(denoiser.parameterization, denoiser.schedule, t)
        level = {"sigma_data": denoiser.sigma_data, "before": before}
        true = predict.target(denoiser.parameterization, x0, eps, alpha, sigma, **level)
        counted = counts.expand_as(x0).flatten(1)
        return ((F - true).square().flatten(1) * counted).sum(1) / counted.sum(1)

    def _times(self, n: int, generator: torch.Generator) -> Tensor:
        """As the model was trained: the table's indices, or of flow matching logit-normal (Esser et al. 2024)."""
        schedule: Any = self.stage.denoiser.schedule
        flows = getattr(self.stage.denoiser, "parameterization", "") == "flow"
        times = Table() if hasattr(schedule, "count") else LogitNormal(kind="logit-normal") if flows else Uniform()
        return draw_times(times, n, getattr(schedule, "count", 1), generator, schedule)

    def _condition(self, said: list[str], size: Size, words: LearnedWords | None) -> Condition:
        """What the network is told: read at every step where the method changes how words are read, else kept."""
        distinct = list(dict.fromkeys(said))
        if self.network.reads:
            whole = self._words(distinct, size, words)
            return whole.select([distinct.index(each) for each in said])
        if new := [each for each in distinct if (size, each) not in self._read]:
            with torch.no_grad():
                read = self._words(new, size, None)
            self._read |= {(size, each): read.select([i]).to("cpu") for i, each in enumerate(new)}
        return Condition.cat([self._read[size, each] for each in said]).to(self.place.device)

    def _words(self, prompts: list[str], size: Size, words: LearnedWords | None) -> Condition:
        encoders = self.stage.encoders
        stage = (
            self.stage if words is None else replace(self.stage, encoders=tuple(knowing(e, words) for e in encoders))
        )
        width, height = size
        return stage.encode([Recipe(prompt=prompt, width=width, height=height) for prompt in prompts])

    def grids(self) -> dict[str, np.ndarray]:
        """The pictures as they are shown, and what is made of the subject."""
        p = self.recipe.preview
        taught = replace(self.pipe, stages=(adapted(self.stage, (self.network,)),))
        painted = np.stack([np.asarray(each) for each in taught.run(self._previews()).images])
        self._measured = self.curve(painted) if self.curve else {}
        return {"shown": report.grid(self.shown.first(2 * p.each), 2 * p.each), "samples": report.grid(painted, p.each)}

    def _previews(self) -> list[Recipe]:
        p = self.recipe.preview
        return [
            asked(self.pipe, prompt, p.seed + k, p.steps, p.guidance, self.size)
            for prompt in named(p.prompts, self.recipe.subject)
            for k in range(p.each)
        ]

    def passes(self) -> int:
        p = self.recipe.preview
        return 2 * len(p.prompts) * p.each * p.steps

    def measured(self) -> dict[str, float]:
        return self._measured

    def conclusion(self) -> list[str]:
        return [f"use it: {self._used()}", *(self.curve.conclusion(self.place.run) if self.curve else [])]

    def _used(self) -> str:
        """A command that paints with what was learnt."""
        recipe, export = self.recipe, self.place.export
        paints = f"sfumato generate {shlex.quote(self.shown.plain[0])} --model"
        if (export / "model_index.json").is_file():
            return f"{paints} {export}"
        options: list[str] = []
        for each in adapters_in(export, allow_pickle=True):
            path = export / each.file.name  # type: ignore[attr-defined]
            own = each.kind in ("lora", "embedding", "hypernetwork")
            options.append(f"--{each.kind} {path}" if own else f"--adapter {each.kind}:file={path}")
            options += ["--allow-pickle"] if path.suffix != ".safetensors" else []
        return f"{paints} {shlex.quote(recipe.model)} {' '.join(options)}"

    def finish(self, export: Path) -> dict[str, float]:
        """The method's files; how many numbers were trained, how large the files are, and what is left of the loss."""
        recipe, files = self.recipe, self.network.save(export)
        sizes = [path.stat().st_size for file in files for path in files_of(file)]
        trained = sum(p.numel() for p in self.network.parameters())
        rows, generator = np.arange(len(self)).repeat(-(-64 // len(self)))[:64], rng.generator(recipe.seed, "measured")
        losses, starts = [], np.cumsum((0, *self.pictures.counts))
        for start, stop in pairwise(starts):
            if len(found := rows[(start <= rows) & (rows < stop)]):
                part, inside = self.pictures.place(found)
                said = [self._caption(self.pictures, int(row), 0) for row in found]
                losses.append(self._losses(self.latents[part][inside], self.counts[part][inside], said, generator))
        return {"loss": float(torch.cat(losses).mean()), "trained_parameters": trained, "bytes": sum(sizes)}
