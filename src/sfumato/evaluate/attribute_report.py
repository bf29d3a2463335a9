"""The report of an evaluation: a table for the terminal, JSON, sheets of pictures with their captions."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.table import Table

from sfumato.evaluate.evaluation import Evaluation, Painted
from sfumato.evaluate.report_file import write_report
from sfumato.picture import save_picture

SUMMARY = {
    "stated": "all stated",
    "captions": "whole captions",
    "pairs": "held-out pairs",
    "absent": "nothing added",
}

LOSSLESS = 100.0  # dB


def attribute_table(evaluation: Evaluation) -> Table:
    """Attribute accuracy in %, with 95 % intervals, beside what the judge makes of the true pictures."""
    s, lost = evaluation.settings, evaluation.autoencoder.value
    coded = f"Autoencoder on unseen vignettes: {lost:.1f} dB PSNR. " if lost < LOSSLESS else "Nothing is encoded. "
    view = Table(
        title=f"{s['model']}: attribute accuracy in %, {s['count']} pictures of each kind",
        caption=(
            f"{s['sampler']}, {s['steps']} steps, guidance {s['guidance']:g}, seed {s['seed']}; 95 % intervals. "
            "Ceiling: what the judge reads in the true pictures, encoded and decoded.\n"
            f"{coded}{evaluation.seconds / 60:.1f} minutes."
        ),
    )
    view.add_column("attribute", no_wrap=True)
    for name in evaluation.splits:
        view.add_column(name, justify="right")
        view.add_column("ceiling", justify="right", style="dim")
    parts = list(evaluation.splits.values())
    for name in parts[0].scores.attributes:
        cells = [f for p in parts for f in (p.scores.attributes[name], p.ceiling.attributes[name])]
        view.add_row(name, *(_cell(f.percent(), i) for i, f in enumerate(cells)))
    view.add_section()
    for key, title in SUMMARY.items():
        cells = [f for p in parts for f in (getattr(p.scores, key), getattr(p.ceiling, key))]
        view.add_row(title, *(_cell(f.percent(), i) for i, f in enumerate(cells)), style="bold")
    return view


def _cell(text: str, column: int) -> str:
    return text.split(" ")[0] if column % 2 else text


def captioned_sheet(part: Painted, count: int = 32, columns: int = 8, side: int = 160) -> Image.Image:
    """The first `count` pictures of a split over their captions; what the judge does not find is named in red."""
    font, line, gap = ImageFont.load_default(11), 13, 10
    shown = []
    for question, image, verdict in list(zip(part.questions, part.images, part.verdicts, strict=True))[:count]:
        missed = [f"{name}: {verdict[name]}" for name, value in question.wanted.items() if verdict[name] != value]
        texts = [(text, "black") for text in wrap(question.caption, font, side)]
        shown.append((image, texts + [(text, "firebrick") for text in missed]))
    columns = min(columns, len(shown))
    width, height = side + gap, side + gap + line * max(len(texts) for _, texts in shown)
    page = Image.new("RGB", (columns * width + gap, -(-len(shown) // columns) * height + gap), "white")
    pen = ImageDraw.Draw(page)
    for n, (image, texts) in enumerate(shown):
        x, y = gap + n % columns * width, gap + n // columns * height
        page.paste(image.resize((side, side), Image.Resampling.BICUBIC), (x, y))
        for i, (text, colour) in enumerate(texts):
            pen.text((x, y + side + 3 + i * line), text, fill=colour, font=font)
    return page


def wrap(text: str, font, width: int) -> list[str]:
    """`text` in lines of at most `width` pixels, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def write_attribute_report(evaluation: Evaluation, out: Path) -> None:
    """report.json and a sheet of pictures for each split, into the folder `out`."""
    write_report(out, evaluation.to_dict())
    for name, part in evaluation.splits.items():
        save_picture(captioned_sheet(part), out / f"{name}.png")
