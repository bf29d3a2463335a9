"""Prompt-to-Prompt beside the other ways to change a word: is what was asked there, and is the rest as it was?

Each case is a vignette and the same scene with one colour changed, both said in full. The picture to edit is drawn (and
inverted), or made by mini from the first caption. SDEdit's strength is the least of a range at which it shows what was
asked as often as Prompt-to-Prompt does, so that the backgrounds are compared at equal success. Background: of drawn
pictures, outside the box around all that truly differs; of made ones, outside the pixels near the old colour, and
outside four around them.

    python benchmarks/prompt_to_prompt.py [--of made|drawn] [--count 8] [--steps 12] [--guidance 4] [--sheet FILE]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from inpainting import SEED, SIZE, sheet
from PIL import Image

import sfumato
from sfumato.data import vignettes
from sfumato.data.masks import grown
from sfumato.data.vignettes import COLOURS
from sfumato.data.vignettes.dice import Dice
from sfumato.data.vignettes.vocabulary import GARMENTS, NONE
from sfumato.edit import Inverted, Noise, PromptToPrompt, SDEdit
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.pairs import pair
from sfumato.evaluate.questions import ask
from sfumato.evaluate.statistics import mean, share
from sfumato.guide import ClassifierFree
from sfumato.recipe import Recipe
from sfumato.space.pixels import to_tensor

STRENGTHS = (0.5, 0.6, 0.7, 0.8, 0.9)
NEAR = 100  # how far from a colour, in 255ths, a pixel still has it


@dataclass(frozen=True)
class Swap:
    """A picture, what it shows, what it is to show, the word for what changes, and where it may change."""

    seed: int
    source: str
    target: str
    word: str
    attribute: str
    wanted: dict[str, str]
    old: str
    picture: Image.Image
    inside: np.ndarray


def drawn() -> Iterator[Swap]:
    """Endless: vignettes in which something has another colour."""
    for index in count(1):
        before, dice = vignettes.scene(SEED, index, "seen"), Dice(SEED, index, "prompt-to-prompt")
        coloured = [name for name in (*GARMENTS, "color") if before[name] != NONE]
        if not coloured:
            continue
        name = dice.choose(coloured)
        old, new = before[name], dice.choose([colour for colour in COLOURS if colour != before[name]])
        case = pair(before, name, new, SIZE)
        if case is None or vignettes.held_out(case.scene):
            continue
        word = before["subject"] if name == "color" else name
        texts = ask(before).caption, case.prompt
        yield Swap(index, *texts, word, name, case.scene.attributes, old, case.before, np.asarray(case.hole) > 0)


def made(swaps: Sequence[Swap], pictures: Sequence[Image.Image]) -> list[Swap]:
    """The same of other pictures, which may change where they have the old colour."""
    found = []
    for swap, picture in zip(swaps, pictures, strict=True):
        far = np.linalg.norm(np.asarray(picture, float) - COLOURS[swap.old], axis=-1)
        found.append(replace(swap, picture=picture, inside=grown(far < NEAR, 4)))
    return found


def measured(judge: Judge, swaps: Sequence[Swap], pictures: Sequence[Image.Image]) -> dict[str, Any]:
    """Mean difference outside in 255ths; shares of pictures with what was asked, and of all else that is as said."""
    verdicts = judge.predict(to_tensor(list(pictures)))
    errors, right, others = [], [], []
    for swap, picture, verdict in zip(swaps, pictures, verdicts, strict=True):
        difference = np.abs(np.asarray(picture, int) - np.asarray(swap.picture, int))
        errors.append(float(difference[~swap.inside].mean()))
        right.append(verdict[swap.attribute] == swap.wanted[swap.attribute])
        others += [verdict[name] == value for name, value in swap.wanted.items() if name != swap.attribute]
    return {"outside": mean(errors), "asked": share(right), "others": share(others)}


def main() -> None:
    options = _options()
    pipe, judge, swaps = sfumato.load("mini"), Judge.load(), list(islice(drawn(), options.count))
    guidance = (ClassifierFree(options.guidance),)

    def run(recipe: Callable[[Swap], Recipe]) -> list[Image.Image]:
        base = {"guidance": guidance, "steps": options.steps}
        return pipe.run([replace(recipe(swap), seed=swap.seed, **base) for swap in swaps]).images

    def sdedit(strength: float) -> Callable[[Swap], Recipe]:
        return lambda swap: Recipe(swap.target, start=SDEdit(swap.picture, strength))

    def words(*blend: str) -> Callable[[Swap], Recipe]:
        def recipe(swap: Swap) -> Recipe:
            edit = PromptToPrompt(swap.source, blend=tuple(word.format(swap.word) for word in blend))
            start = Inverted(swap.picture, 1.0, swap.source) if options.of == "drawn" else Noise()
            return Recipe(swap.target, attention=edit, start=start)

        return recipe

    if options.of == "made":
        swaps = made(swaps, run(lambda swap: Recipe(swap.source)))
    ways: dict[str, Callable[[Swap], Recipe]] = {
        "fresh, same seed": lambda swap: Recipe(swap.target),
        "Prompt-to-Prompt": words(),
        "Prompt-to-Prompt, blended": words("{}"),
    }
    rows, shown = {"nothing done": measured(judge, swaps, [s.picture for s in swaps])}, [[s.picture for s in swaps]]
    print(f"{options.count} {options.of} pictures, {options.steps} steps, guidance {options.guidance:g}\n")
    print(
        "| | outside, 255ths | what was asked, % | all else as it was, % | seconds a picture |\n|---|---|---|---|---|"
    )
    tell("nothing done", rows["nothing done"], 0.0)
    for name, way in ways.items():
        began = time.perf_counter()
        shown.append(run(way))
        rows[name] = measured(judge, swaps, shown[-1])
        tell(name, rows[name], (time.perf_counter() - began) / options.count)
    for strength in STRENGTHS:
        began = time.perf_counter()
        pictures = run(sdedit(strength))
        row = measured(judge, swaps, pictures)
        tell(f"SDEdit, strength {strength:g}", row, (time.perf_counter() - began) / options.count)
        if row["asked"].value >= rows["Prompt-to-Prompt, blended"]["asked"].value:
            break
    if options.sheet:
        sheet(options.sheet, [*shown, pictures])


def tell(name: str, row: dict[str, Any], seconds: float) -> None:
    asked, others = (row[key].percent() for key in ("asked", "others"))
    print(f"| {name} | {row['outside'].value:.2f} | {asked} | {others} | {seconds:.1f} |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", choices=("made", "drawn"), default="made")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--sheet", type=Path, help="also draw the first cases side by side")
    return parser.parse_args()


if __name__ == "__main__":
    main()
