"""What an additional prompt does to a picture, and such a prompt improved in latent space, after the report "Effects of
additional prompts on image quality in ControlNet", sections 1.1 and 1.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pydantic import Field
from scipy.stats import spearmanr

from sfumato.control.maps import Canny
from sfumato.element import Listed, Real, Whole, element
from sfumato.evaluate.map_metrics import edge_counts, edge_f1
from sfumato.evaluate.metrics.pixel import ssim
from sfumato.evaluate.statistics import Figure, bootstrapped, resamplings
from sfumato.picture import BadInput
from sfumato.space.pixels import to_tensor
from sfumato.study.additional_prompt import SIDES, asked, painted, scene_of, with_extra
from sfumato.study.control_nets import Net, how_to_train, nets_for
from sfumato.study.improved_prompt import Quality, improve
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study, Tick
from sfumato.study.style import BLUE, RED, SOFT, panels, strips

POSITIVE = ("good", "very good", "great", "excellent", "best quality, extremely detailed")
NEGATIVE = ("bad", "very bad", "poor", "terrible", "low quality, bad anatomy")
"""The report's own ends, good, excellent, "best quality, extremely detailed" and "low quality, bad anatomy", and steps
between them."""
MEASURED = ("ssim", "adherence", "quality", "asked")


@element
class PromptSettings:
    """inputs: pictures of the built-in world whose edges are shown, each described by one word. positive, negative:
    additional prompts, of rising emphasis. nets: canny=FOLDER, the network that is shown the edges; without one the
    words are alone. each: seeds of each picture. iterations, rate, batch, walk: of the improvement: steps of Adam, its
    rate, pictures a step, and steps of DDIM that each of these takes."""

    inputs: Whole = Field(default=10, ge=1, le=1000, description="a whole number from 1")
    positive: Listed[str] = Field(default=POSITIVE, min_length=1, max_length=50, description="a list of prompts")
    negative: Listed[str] = Field(default=NEGATIVE, min_length=1, max_length=50, description="a list of prompts")
    nets: Listed[str] = Field(default=(), max_length=1, description="canny=FOLDER, or nothing")
    each: Whole = Field(default=4, ge=1, le=1000, description="a whole number from 1")
    steps: Whole = Field(default=20, ge=1, le=1000, description="a whole number from 1 to 1000")
    guidance: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0, where 1 is off")
    iterations: Whole = Field(default=60, ge=1, le=100_000, description="a whole number from 1")
    rate: Real = Field(default=0.05, gt=0, le=10, description="a number above 0")
    batch: Whole = Field(default=2, ge=1, le=64, description="a whole number from 1 to 64")
    walk: Whole = Field(default=6, ge=1, le=100, description="a whole number from 1 to 100")


def cells(s: PromptSettings, model: Model | None) -> Sequence[Cell]:
    if model is None:
        raise BadInput("Say which model paints, as --model mini.")
    net = nets_for(("canny",), s.nets, model).get("canny")
    told = {"model": model, "net": net, "guidance": s.guidance}
    painted = {**told, "steps": s.steps, "each": s.each, "positive": s.positive, "negative": s.negative}
    learning = {**told, "iterations": s.iterations, "rate": s.rate, "batch": s.batch, "walk": s.walk}
    strongest = {"positive": s.positive[-1], "negative": s.negative[-1]}
    improved = [
        Cell(f"{side}, improved", improve, {**learning, "side": side, "extra": strongest[side]}) for side in SIDES
    ]
    inputs = range(s.inputs)
    return [
        *(Cell(f"input {n}", paint, {**painted, "number": n}) for n in inputs),
        *improved,
        *(
            Cell(f"input {n}, improved", paint_improved, {**painted, "number": n}, tuple(c.name for c in improved))
            for n in inputs
        ),
    ]


def figures_of(pictures: Sequence[np.ndarray], plain: np.ndarray, edges: np.ndarray, word: str) -> np.ndarray:
    """`MEASURED` of each picture, (n, 4): SSIM with the plain one, F1 of its edges with those shown within 2 pixels,
    the judge's quality, and its p(word)."""
    from PIL import Image

    images = [Image.fromarray(picture) for picture in pictures]
    x, y = to_tensor(images), to_tensor([Image.fromarray(plain)])
    with torch.no_grad():
        quality, said = Quality()(x, [word] * len(images))
    adherence = [edge_f1(edge_counts(Canny().read(image), edges, 2.0)) for image in images]
    return np.stack([ssim(x, y.expand_as(x)).numpy(), adherence, quality.numpy(), said.numpy()], 1)


def paint(
    tick: Tick, model: Model, net: Net | None, guidance: float, steps: int, each: int, positive: tuple[str, ...],
    negative: tuple[str, ...], number: int,
) -> Result:  # fmt: skip
    """An input's pictures without and with each additional prompt, from the same noise, and without from another:
    figures (each, 2 + prompts, 4), in the order plain, other noise, positive ones, negative ones."""
    pipe, scene, rows, shown = model.load(), scene_of(number), [], []
    extras = [("positive", extra) for extra in positive] + [("negative", extra) for extra in negative]
    for k in range(each):
        recipe, edges = asked(pipe, scene, net, guidance, steps, number * 1000 + k)
        pictures = [painted(pipe, recipe), painted(pipe, replace(recipe, seed=recipe.seed + 500))]
        pictures += [painted(pipe, with_extra(recipe, side, extra)) for side, extra in extras]
        rows.append(figures_of(pictures, pictures[0], edges, scene["subject"]))
        shown = shown or [np.asarray(Canny().draw(edges, pipe.size)), *pictures]
        tick(k + 1, each)
    return {"figures": np.stack(rows), "shown": np.stack(shown), "word": np.array(scene["subject"])}


def paint_improved(
    tick: Tick, better_positive: Result, better_negative: Result, model: Model, net: Net | None, guidance: float,
    steps: int, each: int, positive: tuple[str, ...], negative: tuple[str, ...], number: int,
) -> Result:  # fmt: skip
    """An input's pictures with the strongest prompts improved, as `paint`: figures (each, 2, 4)."""
    pipe, scene, rows, shown = model.load(), scene_of(number), [], []
    better = (("positive", positive[-1], better_positive), ("negative", negative[-1], better_negative))
    for k in range(each):
        recipe, edges = asked(pipe, scene, net, guidance, steps, number * 1000 + k)
        plain = painted(pipe, recipe)
        pictures = [
            painted(pipe, with_extra(recipe, side, extra), side, torch.from_numpy(found["delta"]))
            for side, extra, found in better
        ]
        rows.append(figures_of(pictures, plain, edges, scene["subject"]))
        shown = shown or pictures
        tick(k + 1, each)
    return {"figures": np.stack(rows), "shown": np.stack(shown)}


def averaged(values: np.ndarray, resamples: int = 1000) -> Figure:
    """The mean over inputs, of which each is (seeds,) values, with its bootstrap interval over inputs."""
    rows = values.reshape(len(values), -1).mean(1)
    return bootstrapped(resamplings(len(rows), resamples) @ rows / len(rows), len(rows))


def draw(s: PromptSettings, results: Mapping[str, Result]) -> Report:
    names = ["none", "none, another noise", *s.positive, *s.negative, "positive, improved", "negative, improved"]
    sides = ["", "", *["positive"] * len(s.positive), *["negative"] * len(s.negative), *SIDES]
    before = np.stack([results[f"input {n}"]["figures"] for n in range(s.inputs)])
    after = np.stack([results[f"input {n}, improved"]["figures"] for n in range(s.inputs)])
    values = np.concatenate([before, after], 2)  # (inputs, seeds, prompts, figures)
    told = {(i, name): averaged(values[:, :, i, j]) for i in range(len(names)) for j, name in enumerate(MEASURED)}
    rows = []
    for i, name in enumerate(names):
        row: dict[str, Any] = {"prompt": name, "side": sides[i]}
        for measure in MEASURED:
            figure = told[i, measure]
            row |= {measure: figure.value, f"{measure} low": figure.low, f"{measure} high": figure.high}
        rows.append(row)
    drawings = [
        Drawing("ssim", _curves(s, told), "SSIM between the picture with and without the additional prompt, mean over "
                f"{s.inputs} inputs, with 95 % intervals; grey: without it too, from another noise."),
        Drawing("pictures", _pictures(s, results), "The edges, the picture of the word alone, and with each prompt."),
        Drawing("improved", _bars(s, results, told), "The strongest prompts before and after they were improved in "
                "latent space, and the quality on the way. The pictures are of other inputs than were learned from."),
        Drawing("improved-pictures", _improved(s, results), "Without a prompt, with it, and with it improved."),
    ]  # fmt: skip
    return Report(drawings, rows, _found(s, values, told))


def _found(s: PromptSettings, values: np.ndarray, told: Mapping[tuple[int, str], Figure]) -> list[str]:
    found = []
    places = {"positive": range(2, 2 + len(s.positive)), "negative": range(2 + len(s.positive), values.shape[2] - 2)}
    for k, side in enumerate(SIDES):
        line = [told[i, "ssim"].value for i in places[side]]
        trend = float(spearmanr(np.arange(len(line)), line).statistic) if len(line) > 2 else np.nan  # type: ignore[union-attr]
        by_emphasis = "" if np.isnan(trend) else f"; rank correlation with the emphasis {trend:+.2f}"
        found.append(
            f"{side.capitalize()} prompts: SSIM with the picture without is {line[0]:.3f} for the weakest and "
            f"{line[-1]:.3f} for the strongest{by_emphasis}; another noise alone has {told[1, 'ssim'].value:.3f}."
        )
        old, new = places[side][-1], values.shape[2] - 2 + k
        changes = []
        for j, measure in enumerate(MEASURED):
            change = averaged(values[:, :, new, j] - values[:, :, old, j])
            sure = "" if np.isnan(change.low) or change.low <= 0 <= change.high else ", surely"
            changes.append(
                f"{measure} {told[old, measure].value:.3f} to {told[new, measure].value:.3f} "
                f"({change.value:+.3f}, {change.low:+.3f} to {change.high:+.3f}{sure})"
            )
        found.append(f"Improved in latent space, the strongest {side} prompt moves {'; '.join(changes)}.")
    if not s.nets:
        found.append(how_to_train(("canny",)))
    return found


def _curves(s: PromptSettings, told: Mapping[tuple[int, str], Figure]) -> Any:
    figure, axes = panels(1, 2, 3.4, sharey=True)
    first = 2
    for panel, side, prompts, colour in zip(axes[0], SIDES, (s.positive, s.negative), (BLUE, RED), strict=True):
        line = [told[first + i, "ssim"] for i in range(len(prompts))]
        first += len(prompts)
        floor, places = told[1, "ssim"], np.arange(len(prompts))
        spread = np.nan_to_num([each.high - each.value for each in line])
        panel.errorbar(places, [each.value for each in line], spread, color=colour, marker="o", ms=4, capsize=2)
        panel.axhline(floor.value, color=SOFT, lw=1)
        if not np.isnan(floor.low):
            panel.axhspan(floor.low, floor.high, color=SOFT, alpha=0.15, lw=0)
        panel.set(title=f"{side} prompts", ylabel="SSIM with the picture without" if side == SIDES[0] else "")
        panel.set_xticks(places, [prompt.replace(", ", ",\n") for prompt in prompts], fontsize=8, rotation=20)
    return figure


def _pictures(s: PromptSettings, results: Mapping[str, Result]) -> Any:
    found = [results[f"input {n}"] for n in range(min(s.inputs, 10))]
    shown = np.stack([np.delete(each["shown"], 2, 0) for each in found])  # without the one of another noise
    columns = [
        "edges",
        "none",
        *(f"+{i + 1}" for i in range(len(s.positive))),
        *(f"-{i + 1}" for i in range(len(s.negative))),
    ]
    return strips(shown, [str(each["word"]) for each in found], columns, left=0.95, smooth=True)


def _improved(s: PromptSettings, results: Mapping[str, Result]) -> Any:
    rows, words = [], []
    for n in range(min(s.inputs, 10)):
        old, new = results[f"input {n}"]["shown"], results[f"input {n}, improved"]["shown"]
        rows.append(np.stack([old[0], old[1], old[2 + len(s.positive)], new[0], old[-1], new[1]]))
        words.append(str(results[f"input {n}"]["word"]))
    columns = ["edges", "none", f"+{len(s.positive)}", "improved", f"-{len(s.negative)}", "improved"]
    return strips(np.stack(rows), words, columns, left=3.2, smooth=True)


def _bars(s: PromptSettings, results: Mapping[str, Result], told: Mapping[tuple[int, str], Figure]) -> Any:
    total = 2 + len(s.positive) + len(s.negative)
    bars = [(0, "none", SOFT), (1 + len(s.positive), f"+{len(s.positive)}", BLUE), (total, "improved", BLUE),
            (total - 1, f"-{len(s.negative)}", RED), (total + 1, "improved", RED)]  # fmt: skip
    titles = {"ssim": "SSIM with none", "adherence": "F1 of the edges", "quality": "quality (nats)"}
    figure, axes = panels(1, 4, 2.9)
    for panel, (measure, title) in zip(axes[0], titles.items(), strict=False):
        figures = [told[i, measure] for i, _, _ in bars]
        errors = np.nan_to_num([each.high - each.value for each in figures])
        panel.bar(range(len(bars)), [each.value for each in figures], yerr=errors, color=[c for *_, c in bars],
                  error_kw={"lw": 0.9})  # fmt: skip
        panel.set_xticks(range(len(bars)), [words for _, words, _ in bars], rotation=40, fontsize=8)
        panel.set(title=title)
    for side, colour in zip(SIDES, (BLUE, RED), strict=True):
        curve = results[f"{side}, improved"]["curve"]
        width = max(1, len(curve) // 10)
        smooth = np.convolve(curve, np.ones(width) / width, "valid")
        axes[0, 3].plot(np.arange(len(smooth)) + width / 2, smooth, color=colour, label=side)
    axes[0, 3].set(title="quality on the way", xlabel="step")
    axes[0, 3].legend(fontsize=8)
    return figure


STUDY = Study(
    title="What an additional prompt does, and one improved in latent space",
    summary="SSIM with and without prompts of praise and blame, and such a prompt improved as an embedding",
    source="the report on additional prompts in ControlNet, sections 1.1 and 1.2",
    about="A picture's Canny edges and one word are what a model is asked for; beside the word it may be told an "
    "additional prompt, positive (behind the word) or negative (in the place of the unconditional one), of rising "
    "emphasis. How much each changes the picture is the structural similarity of the pictures with and without it, "
    "from the same noise, averaged over ten inputs. Then the strongest prompts are improved where words are numbers: "
    "their embeddings are moved by the gradient of the judge's opinion of the pictures, on other inputs.",
    see=(
        "SSIM falls with the emphasis. Mind what the words are to the model: captions of the miniature neither praise "
        "nor blame, so to it they are strange tokens, the more the longer they are.",
        "Words alone leave the layout free, so that any additional prompt may change it; shown the edges (--net) the "
        "pictures stay alike.",
        "Whether an improved embedding raises the quality on inputs that it has not seen, and what that costs in SSIM: "
        "what the study is sure of, it says so.",
    ),
    full=PromptSettings(),
    quick=PromptSettings(each=1, steps=8, iterations=20, walk=4, batch=1),
    cells=cells,
    draw=draw,
    model="mini",
    takes=Model.named,
)
STUDIES.add("prompts", STUDY)
