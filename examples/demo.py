"""A sketch becomes a painting: SDEdit over strengths, and over guidance scales, with the built-in miniature.

    python examples/demo.py                 # writes out/demo.png
    python examples/demo.py --help          # another file, other steps

Row 1 is the sketch and strengths t0 = 0 ... 1 at guidance 5; row 2 is the guidance scale 1 ... 40 at strength 0.8.
The same noise is used everywhere, so that a column differs from its neighbour by one number alone.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import sfumato
from sfumato import ClassifierFree, SDEdit

HERE = Path(__file__).parent
PROMPT = "a painting of a woman in a red jacket"
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SCALES = (1, 2.5, 5, 10, 20, 40)
SEED = 7
CELL, GAP, LABEL = 192, 10, 26
INK, PAPER = "#3b3531", "#faf7f2"


def main(out: Path, steps: int | None) -> None:
    pipe = sfumato.load("mini")
    sketch = HERE / "sketch.png"

    strengths = [(f"t0 = {s:.1f}", paint(pipe, sketch, steps, strength=s)) for s in STRENGTHS]
    scales = [(f"guidance {g:g}", paint(pipe, sketch, steps, scale=g)) for g in SCALES]
    original = ("the sketch", Image.open(sketch))

    page = plate([[original, *strengths], [original, *scales]], title=f"“{PROMPT}”")
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out)
    print(out)


def paint(
    pipe: sfumato.Pipe, sketch: Path, steps: int | None, strength: float = 0.8, scale: float = 5.0
) -> Image.Image:
    guidance = [ClassifierFree(scale)]
    return pipe(PROMPT, start=SDEdit(sketch, strength), guidance=guidance, steps=steps, seed=SEED).image


def plate(rows: list[list[tuple[str, Image.Image]]], title: str) -> Image.Image:
    """Rows of labelled pictures under a title, as in a book."""
    columns = max(len(row) for row in rows)
    page = Image.new("RGB", (columns * (CELL + GAP) + GAP, LABEL * 2 + len(rows) * (CELL + LABEL + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((GAP, GAP), title, fill=INK, font=ImageFont.load_default(22))
    for r, row in enumerate(rows):
        for c, (label, picture) in enumerate(row):
            x, y = GAP + c * (CELL + GAP), 2 * LABEL + r * (CELL + LABEL + GAP)
            page.paste(picture.convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS), (x, y))
            draw.text((x + 2, y + CELL + 3), label, fill=INK, font=ImageFont.load_default(16))
    return page


def asked(out: str, about: str) -> argparse.Namespace:
    """What the command line says: where the plate goes, and how many steps each of its pictures takes."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path(out), help="the plate's file (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="steps of each picture (default: as many as the model takes)")
    return parser.parse_args()


if __name__ == "__main__":
    main(**vars(asked("out/demo.png", __doc__)))
