"""A picture, changed in part: inpainting, DiffEdit, Prompt-to-Prompt, outpainting, with the built-in miniatures.

    python examples/edits.py                 # writes out/edits.png
    python examples/edits.py --help          # another file, other steps

The pictures of rows 1, 2 and 4 are drawn by the built-in world, those of row 3 painted by mini. Outside a mask, given
or inferred, every pixel of the result is the picture's own.
"""

from itertools import islice
from pathlib import Path
from typing import Any

from demo import asked, plate
from PIL import Image

import sfumato
from sfumato import ClassifierFree, Crop, Inferred, Inverted, Outside, PromptToPrompt, SDEdit
from sfumato.data import vignettes
from sfumato.evaluate.pairs import pair
from sfumato.picture import extended

WORLD = 2_000_003
FREE = [ClassifierFree(5.0)]
PAINTED, FIGURES, NONE = ("flat", "oil", "watercolour"), ("woman", "man"), "none"


def main(out: Path, steps: int | None) -> None:
    mini, filler = sfumato.load("mini"), sfumato.load("mini-inpaint")
    rows = [inpainted(filler, steps), inferred(mini, steps), swapped(mini, steps), widened(filler, steps)]
    page = plate(rows, title="A picture, changed in part")
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out)
    print(out)


def inpainted(pipe: sfumato.Pipe, steps: int | None) -> list[tuple[str, Image.Image]]:
    """A hole, and what the words put there."""
    row, size = [], max(pipe.size)
    for attribute, value, which, words in (("scarf", "red", 0, "with a red scarf"), ("jacket", "green", 2, "in green")):
        before = list(islice((s for s in scenes() if s["style"] in PAINTED and s["subject"] in FIGURES), 40))
        pairs = [pair(scene, attribute, value, size) for scene in before if (scene[attribute] == NONE) == (which == 0)]
        change = [one for one in pairs if one is not None][which]
        made = pipe(change.prompt, hold=Outside(change.hole, change.before), guidance=FREE, steps=steps, seed=0).image
        row += [("a picture", change.before)] if not row else []
        row += [("a hole", shown(change.before, change.hole)), (f"“… {words}”", made)]
    return row


def inferred(pipe: sfumato.Pipe, steps: int | None) -> list[tuple[str, Image.Image]]:
    """Two texts say what changes; where is inferred (DiffEdit)."""
    scene = next(s for s in scenes() if s["subject"] == "boat" and s["style"] == "flat" and s["color"] == "red")
    picture = Image.fromarray(vignettes.draw(scene, max(pipe.size), truth=False).image)
    shows, row = scene.caption, [("a picture", picture)]
    for colour in ("blue", "yellow", "green"):
        start, hold = Inverted(picture, 0.9, shows), Inferred(shows, grow=4)
        result = pipe(shows.replace("red", colour), start=start, hold=hold, guidance=FREE, steps=steps, seed=1)
        if colour == "blue" and result.masks[0] is not None:
            row.append(("where the words disagree", result.masks[0]))
        row.append((f"red to {colour}", result.image))
    return row


def swapped(pipe: sfumato.Pipe, steps: int | None) -> list[tuple[str, Image.Image]]:
    """The same picture in other words (Prompt-to-Prompt)."""
    source = "a painting of a woman in a red jacket"
    same: Any = {"guidance": FREE, "steps": steps, "seed": 8}
    row = [("“… in a red jacket”", pipe(source, **same).image)]
    for colour in ("green", "blue"):
        words, edit = source.replace("red", colour), PromptToPrompt(source, blend=("jacket",))
        row.append((f"“… in a {colour} jacket”", pipe(words, attention=edit, **same).image))
    row.append(("the same seed, no more", pipe(source.replace("red", "blue"), **same).image))
    return row


def widened(pipe: sfumato.Pipe, steps: int | None) -> list[tuple[str, Image.Image]]:
    """More of the scene, at its own resolution; and a part of it at the model's."""
    scene = next(s for s in scenes() if s["subject"] == "house" and s["style"] == "watercolour")
    size = max(pipe.size)
    margin, unit = 3 * size // 16, size // 32
    picture = Image.fromarray(vignettes.draw(scene, 2 * size, truth=False).image)
    small = picture.resize((size, size), Image.Resampling.LANCZOS)
    part = small.crop((margin, margin, size - margin, size - margin))
    wide, border = extended(part, (margin, margin, margin, margin))
    row = [("a part of a picture", part)]
    painted = pipe(scene.caption, start=SDEdit(wide, 0.95), hold=Outside(border), steps=steps, seed=2).image
    row.append(("painted on", painted))
    hole = Image.new("L", picture.size)
    hole.paste(255, (22 * unit, 20 * unit, 42 * unit, 45 * unit))
    row.append((f"a hole in {2 * size} x {2 * size}", shown(picture, hole)))
    row.append(("filled at full resolution", pipe(
        "a red boat", hold=Outside(hole, picture, feather=2), area=Crop(margin), steps=steps, seed=4
    ).image))  # fmt: skip
    return row


def scenes():
    return (vignettes.scene(WORLD, index, "any") for index in range(100_000))


def shown(picture: Image.Image, hole: Image.Image) -> Image.Image:
    return Image.composite(Image.new("RGB", picture.size, "white"), picture, hole)


if __name__ == "__main__":
    main(**vars(asked("out/edits.png", __doc__)))
