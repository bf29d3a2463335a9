"""What a tool says of a picture of its own, and the recipe that paints it here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sfumato.adapt import Embedding
from sfumato.adapt.file import hashes_of, named
from sfumato.edit import HiresFix, Noise, Refiner, Start
from sfumato.emphasis import Emphasis, MeanRestored
from sfumato.guide import ClassifierFree, Distilled, Guidance
from sfumato.noise import Keyed, Randomness
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe import Recipe
from sfumato.recipe.extra_networks import asked_in
from sfumato.recipe.prompt import plan_of
from sfumato.sample import DDIM, DPMpp2M, Euler, Heun, Sampler, UniPC
from sfumato.schedule import Discrete
from sfumato.times import DiscardPenultimateGrid, KarrasGrid, LeadingGrid, RestartGrid, ShiftedGrid, TimeGrid
from sfumato.times.restart import FEW

XL = ("scaled_linear", 1000, 0.00085, 0.012)
"""The noise levels of the models that have refiners."""

TREES = ("DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "DPM++ SDE")
"""Samplers whose noise other tools draw from a Brownian tree."""

IN_TAU: Mapping[str, Sampler] = {
    "Euler": Euler(),
    "Heun": Heun(),
    "DPM++ 2M": DPMpp2M(form="tau"),
    "Res Multistep": DPMpp2M(solver="heun", form="tau"),
}
"""The samplers that ComfyUI steps in sigma alone, of flow matching, where sigma is our tau."""
COMPVIS = ("DDIM", "PLMS", "UniPC")
"""A1111's samplers that begin from z and end at the table's first index; k-diffusion's from sigma z to 0."""
MOST, WIDEST = 1000, 16_384
"""The steps and the pixels of a side that are replayed at most."""
DETERMINISTIC = "DDIM"
"""Its sampler whose new noise is none unless it is asked for."""
RESTART = "Restart"
"""What A1111 calls Heun's method on a grid that rises: a sampler."""


@dataclass(frozen=True)
class Said:
    """tool: whose picture it is. prompt: with its files, as <lora:name:0.8>; learned words from files are `words`.
    sampler, schedule: as A1111's web page calls them. discards: whether the schedule is one of a step more without its
    last level but one. distilled: the scale that a network is told, None where none is. shift, table: those of flow
    matching (`ShiftedGrid`), None where the model's own noise levels are walked. clip_skip: 1 for all layers. emphasis:
    what weights of words do. vae: the name of an autoencoder's file. apart: whether all parts of the model were files
    of their own. noise: its noise source. eta: of a sampler that adds noise, None for what it has anyway. later:
    whether the noise of its steps is known too. entire: whether DDIM's stride goes on to the end of the table. hires: a
    first walk at a smaller size; `size` and `steps` are then those of the second, and `first` says what of its words,
    scale, sampler, schedule, discards and table the first has of its own. refiner: a model that takes over, from the
    step `switch` on, or at the time `at` where that is None. hashes: of files, by their names. remarks: what is done
    otherwise here, a sentence each."""

    tool: str
    prompt: str
    negative: str = ""
    steps: int = 20
    sampler: str = "Euler"
    schedule: str = ""
    discards: bool = False
    scale: float = 7.0
    rescale: float = 0.0
    distilled: float | None = None
    shift: float | None = None
    table: int = 1000
    seed: int = 0
    size: tuple[int, int] | None = None
    clip_skip: int = 1
    emphasis: Emphasis = field(default_factory=MeanRestored)
    model: str = ""
    model_hash: str = ""
    noise: Randomness = field(default_factory=Keyed)
    eta: float | None = None
    later: bool = True
    entire: bool = True
    unit: bool = True
    words: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    vae: str = ""
    apart: bool = False
    hires: HiresFix | None = None
    refiner: str = ""
    switch: int | None = None
    at: float = 0.0
    first: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def whole(values: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A whole number that a tool wrote. Raises BadInput where it is none."""
    try:
        return int(values[name] if default is None else values.get(name, default))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise BadInput(f"its {name} is {printable(repr(values.get(name)), 60)}, which is no whole number") from None


def steps_in(values: Mapping[str, Any], name: str) -> int:
    """The steps that a tool wrote. Raises BadInput for a number that no walk has."""
    steps = whole(values, name)
    if not 1 <= steps <= MOST:
        raise BadInput(f"its {name} are {printable(steps, 20)}: from 1 to {MOST} are replayed")
    return steps


def number(values: Mapping[str, Any], name: str, default: float) -> float:
    """A number that a tool wrote. Raises BadInput where it is none."""
    try:
        return float(values.get(name, default))
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"its {name} is {printable(repr(values.get(name)), 60)}, which is no number") from None


def long(text: str) -> bool:
    """Whether a text may be longer than the 75 tokens that CLIP reads at once: a word or mark is one, or several."""
    return len(re.findall(r"\w+|[^\w\s]", text)) > 60


def tag(name: str, *weights: str) -> str:
    """How a prompt names a LoRA. Raises BadInput for a name that can't stand there."""
    stem = re.split(r"[/\\\\]", name)[-1].removesuffix(".safetensors")
    if not stem or any(mark in stem for mark in "<>:"):
        raise BadInput(f"it was made with a LoRA called {printable(repr(name), 60)}, which is no name of a file")
    return f"<{':'.join(('lora', stem, *weights))}>"


def recipe_of(
    said: Said,
    model: str,
    places: Sequence[Path] = (),
    *,
    refiner: str | None = None,
    allow_pickle: bool = False,
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe that paints what was said with the model called `model`, and remarks on what is otherwise.

    places: files, and folders of files, among which those are looked for that it was made with. refiner: the model that
    takes over. Raises BadInput for a file that is nowhere, for a sampler or a schedule that is not here, and where a
    refiner is missing or left over.
    """
    sampler, times, steps = _walk(said, cut=said.hires is not None)
    remarks = [*said.remarks, *_otherwise(said, sampler)]
    relay = _relay(said, refiner, times, steps)
    if relay is not None and said.switch is not None and isinstance(sampler, Heun):
        remarks.append(f"{said.tool} asks the first model for the end of its last step, and here the refiner is asked")
    prompt, negative, adapters = asked_in(said.prompt, said.negative, places, allow_pickle=allow_pickle)
    last = {"sampler": sampler, "times": times, "prompt": prompt, "negative": negative, "guidance": _guidance(said)}
    start: Start = Noise(unit=said.unit)
    if said.hires is not None:
        before = replace(said, steps=said.hires.first_steps or said.steps, **said.first)
        prompt, negative, others = asked_in(before.prompt, before.negative, places, allow_pickle=allow_pickle)
        networks, theirs = ([each for each in some if not isinstance(each, Embedding)] for some in (adapters, others))
        if networks != theirs:
            raise BadInput("the second walk of its hires. fix has other LoRAs than the first, which is not replayed")
        adapters += [each for each in others if each not in adapters]
        sampler, times, count = _walk(before)
        first = {"sampler": sampler, "times": times, "prompt": prompt, "negative": negative}
        first["guidance"] = _guidance(before)
        own = {f"first_{name}": value for name, value in first.items() if value != last[name]}
        start = replace(said.hires, first_steps=count, **own)
        remarks += [each for each in _otherwise(before, sampler) if each not in remarks]
        if any(plan_of(text).changing for text in (said.prompt, said.negative)):
            remarks.append(
                f"{said.tool} has made all changes of its words before the second walk, and here they are anew"
            )
    for word in said.words:
        adapters.append(Embedding(named(word, "embeddings", places, allow_pickle=allow_pickle), word))
    for each in adapters:
        noted = said.hashes.get(each.file.stem, "").lower()
        if noted and not any(own.startswith(noted) for own in hashes_of(each.file)):
            remarks.append(
                f"{printable(each.file.name, 60)} is another file than it was made with ({printable(noted, 20)})"
            )
    width, height = said.size or (None, None)
    recipe = Recipe(
        **last,
        adapters=tuple(adapters),
        clip_skip=said.clip_skip,
        emphasis=said.emphasis,
        model=model,
        width=width,
        height=height,
        start=start,
        refiner=relay,
        steps=steps,
        seed=said.seed,
        noise=said.noise,
    )
    return recipe, tuple(remarks)


def _relay(said: Said, refiner: str | None, times: TimeGrid, steps: int) -> Refiner | None:
    if not said.refiner and refiner is not None:
        raise BadInput("it was made with one model, and no refiner took over: leave --refiner out")
    if not said.refiner:
        return None
    if refiner is None:
        raise BadInput(
            f"it was made with a second model, {printable(said.refiner, 100)}, which took over: say where that is with "
            "--refiner"
        )
    if said.switch is None:
        return Refiner(refiner, said.at)
    knots = times(steps, Discrete.named(*XL))
    if said.switch >= len(knots) - 1:
        return None
    return Refiner(refiner, float(knots[said.switch - 1 : said.switch + 1].mean()))


def _guidance(said: Said) -> tuple[Guidance, ...]:
    told = () if said.distilled is None else (Distilled(said.distilled),)
    return (ClassifierFree(said.scale, rescale=said.rescale), *told)


def _walk(said: Said, cut: bool = False) -> tuple[Sampler, TimeGrid, int]:
    """The sampler, the grid and the steps. cut: whether they are the last of a longer walk's. Raises BadInput for a
    sampler that is not replayed there."""
    sampler, steps = sampler_of(said.sampler, said.eta).counted(said.steps)
    if said.shift is not None:
        sampler = IN_TAU.get(said.sampler, sampler)
    if sampler.own_schedule is None:
        return sampler, *_grid(said, steps, cut)
    if said.hires is not None or said.shift is not None or said.refiner:
        what = "of a flow" if said.shift is not None else "in two parts"
        raise BadInput(f"{said.sampler} chooses its noise levels itself, which is not replayed {what}")
    return sampler, times_of(sampler.own_schedule), steps


def _otherwise(said: Said, sampler: Sampler) -> Iterator[str]:
    """Remarks on what the tool does otherwise with that sampler."""
    if said.sampler in TREES:
        yield f"{said.tool} draws the noise of {said.sampler} from a Brownian tree, and it is drawn otherwise here"
    elif said.sampler == RESTART and said.steps >= FEW and times_of(said.schedule) != KarrasGrid():
        yield f"{said.tool} restarts on Karras' levels between the ends of {said.schedule}"
    elif not said.later and (getattr(sampler, "eta", 0) or sampler.ancestral_eta or sampler.walks_consistency):
        yield f"{said.tool} draws the noise of {said.sampler}'s steps otherwise than here"
    if said.eta not in (None, 1) and said.sampler in TREES and not hasattr(sampler, "eta"):
        yield f"{said.tool} gives {said.sampler} the eta {said.eta:g}, and it is 1 here"


def _grid(said: Said, steps: int, cut: bool) -> tuple[TimeGrid, int]:
    if said.sampler == RESTART and said.steps >= FEW:
        return RestartGrid(), steps
    times = times_of(said.schedule)
    if isinstance(times, LeadingGrid) and said.entire and not cut:
        times, steps = LeadingGrid.reaching(steps + said.discards, said.table)
        steps -= said.discards
    if said.discards:
        times = DiscardPenultimateGrid(times)
    return times if said.shift is None else ShiftedGrid(said.shift, times, said.table, "tau"), steps


def sampler_of(label: str, eta: float | None = None) -> Sampler:
    """The sampler that A1111's web page calls `label`, or one of ours by its name. eta: of its new noise, where it adds
    any on that page; None for what it has anyway."""
    sampler = _called(label)
    if isinstance(sampler, UniPC) and label in COMPVIS:
        return replace(sampler, denoise_to_zero=False)
    if eta is None or not (label == DETERMINISTIC or getattr(sampler, "eta", 0) or sampler.own_schedule):
        return sampler
    if not 0 <= eta <= 1:
        raise BadInput(f"its Eta is {eta:g}: from 0 to 1 is replayed")
    return replace(sampler, eta=eta)


def _called(label: str) -> Sampler:
    if label == RESTART:
        return Heun("kappa")
    if label in ("Euler a", "Euler ancestral"):
        return DDIM(eta=1.0)
    registry = Sampler.registry
    labels = {text: name for name, text in registry.labels.items() if text}
    ours = label if label in registry else None
    name = labels.get(label) or ours or {text.lower(): name for text, name in labels.items()}.get(label.lower())
    if name is None:
        known = ", ".join(sorted({"Euler a", RESTART, *filter(None, registry.labels.values())}))
        raise BadInput(f"the sampler {printable(label, 60)!r} is not here: known are {known}")
    return registry.named(name)


def times_of(label: str) -> TimeGrid:
    """The time grid that A1111's web page calls `label`, or one of ours by its name."""
    registry = TimeGrid.registry
    called = {called: name for name in registry for called in (name, registry.labels.get(name, "")) if called}
    if (name := called.get(label)) is None:
        known = ", ".join(sorted(filter(None, registry.labels.values())))
        raise BadInput(f"the schedule {printable(label, 60)!r} is not here: known are {known}")
    return registry.named(name)
