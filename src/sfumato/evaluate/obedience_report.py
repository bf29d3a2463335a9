"""The report of obedience: a table for the terminal, JSON, a sheet of pictures with their instructions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont
from rich.table import Table

from sfumato.evaluate.attribute_report import wrap
from sfumato.evaluate.report_file import write_report
from sfumato.picture import save_picture

if TYPE_CHECKING:
    from sfumato.evaluate.obedience import Obedience

TITLES = {"floor": "as it was", "ours": "edited", "ceiling": "ceiling", "truth": "the true picture"}


def obedience_table(found: Obedience) -> Table:
    """A row for the picture as it was, as it was edited, and as it should be; then what was asked, kind by kind."""
    s = found.settings
    kinds = ", ".join(f"{name} {figure.percent()}" for name, figure in found.kinds.items())
    view = Table(
        title=f"{s['model']}: are instructions obeyed? {s['count']} vignettes of {s['size']} x {s['size']}, in %",
        caption=(
            f"{s['sampler']}, {s['steps']} steps, guidance {s['guidance']:g}, seed {s['seed']}; 95 % intervals. Apart: "
            "from the picture before, in 255ths, where nothing was to change. Ceiling: the true picture, encoded and "
            f"decoded.\nAsked, by kind of change: {kinds}. {found.seconds / 60:.1f} minutes."
        ),
    )
    for name in ("", "what was asked", "all else as it was", "both", "apart"):
        view.add_column(name, justify="right" if name else "left", no_wrap=not name)
    for part, title in TITLES.items():
        row = found.parts[part]
        apart = "-" if row.apart.value != row.apart.value else f"{row.apart.value:.2f}"
        view.add_row(title, row.asked.percent(), row.others.percent(), row.both.percent(), apart)
    return view


def obedience_sheet(found: Obedience, side: int = 128, gap: int = 6, columns: int = 2) -> Image.Image:
    """Triples, `columns` a row: before, edited, as it should be, over the instruction."""
    font, line = ImageFont.load_default(11), 28
    wide, high = 3 * side + 3 * gap, side + line + gap
    page = Image.new("RGB", (columns * wide + gap, -(-len(found.shown) // columns) * high + gap), "white")
    pen = ImageDraw.Draw(page)
    for n, (instruction, pictures) in enumerate(found.shown):
        x, y = gap + n % columns * wide, gap + n // columns * high
        for i, picture in enumerate(pictures):
            page.paste(picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (x + i * (side + 2), y))
        for i, text in enumerate(wrap(instruction, font, 3 * side)[:2]):
            pen.text((x, y + side + 2 + 13 * i), text, fill="black", font=font)
    return page


def write_obedience_report(found: Obedience, out: Path) -> None:
    """report.json and sheet.png, into the folder `out`."""
    write_report(out, found.to_dict())
    save_picture(obedience_sheet(found), out / "sheet.png")
