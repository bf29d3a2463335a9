"""The report of adherence: a table for the terminal, JSON, a sheet of pictures, the curves of a sweep of weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from sfumato.evaluate.report_file import write_report
from sfumato.picture import save_picture
from sfumato.picture.files import write_atomically

if TYPE_CHECKING:
    from rich.table import Table

    from sfumato.evaluate.adherence import Adherence
    from sfumato.evaluate.statistics import Figure


def adherence_table(found: Adherence) -> Table:
    """A row a metric: without the control, with it, in the true pictures through the autoencoder and as they are, and
    at the weights of a sweep."""
    from rich.table import Table

    s, fid = found.settings, found.fid
    asked, told = ("is the layout", "the layout") if s.get("layout") else ("are controls", "the control")
    unsaid = "" if s["words"] else "without words, "
    view = Table(
        title=f"{s['model']}: {asked} obeyed? {s['count']} vignettes of {s['size']} x {s['size']}",
        caption=(
            f"{unsaid}{s['sampler']}, {s['steps']} steps, guidance {s['guidance']:g}, seed {s['seed']}; 95 % "
            f"intervals by bootstrap over pictures. floor: without {told}; ceiling: true pictures, encoded and "
            f"decoded; estimator: true pictures; closed: of the way from floor to ceiling.\nFID on vignettes-features: "
            f"{fid['floor']:.2f} without, {fid['ours']:.2f} with {told}, {fid['ceiling']:.2f} ceiling"
            f"{''.join(f', {fid[part]:.2f} {part}' for part in found.swept.values())}. "
            f"{found.seconds / 60:.1f} minutes."
        ),
    )
    view.add_column("map", no_wrap=True)
    view.add_column("measure")
    parts = list(found.rows[0].figures)
    for part in (*parts, "closed"):
        view.add_column(part, justify="right")
    for row in found.rows:
        cells = [_cell(row.figures[part]) for part in parts]
        closed = "-" if row.closed != row.closed else f"{round(100 * row.closed)} %"
        view.add_row(row.map, row.about.title, *cells, closed)
    return view


def _cell(figure: Figure) -> str:
    if figure.value != figure.value:
        return "-"
    spread = figure.high - figure.value
    return f"{figure.value:.3g}" + ("" if spread != spread else f" ± {spread:.2g}")


def adherence_sheet(found: Adherence, side: int = 128, gap: int = 6) -> Image.Image:
    """A row a picture: the true one, the maps that are shown, without the control, with it."""
    columns = len(found.shown[0])
    page = Image.new("RGB", (columns * (side + gap) + gap, len(found.shown) * (side + gap) + gap), "white")
    for row, pictures in enumerate(found.shown):
        for column, picture in enumerate(pictures):
            place = (gap + column * (side + gap), gap + row * (side + gap))
            page.paste(picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC), place)
    return page


def write_adherence_report(found: Adherence, out: Path) -> None:
    """report.json and sheet.png, and weights.png of a sweep, into the folder `out`."""
    write_report(out, found.to_dict())
    save_picture(adherence_sheet(found), out / "sheet.png")
    if found.swept:
        write_atomically(out / "weights.png", adherence_curves(found))


def adherence_curves(found: Adherence) -> bytes:
    """A PNG: for each metric its value over the weight with its interval, between the floor and the ceiling."""
    import io

    from matplotlib.figure import Figure as Page

    weights = sorted(found.swept)
    page = Page(figsize=(4 * len(found.rows), 3.2), layout="constrained")
    for row, axes in zip(found.rows, page.subplots(1, len(found.rows), squeeze=False)[0], strict=True):
        figures = [row.figures[found.swept[weight]] for weight in weights]
        values, low, high = ([getattr(each, name) for each in figures] for name in ("value", "low", "high"))
        axes.fill_between(weights, low, high, alpha=0.2)
        axes.plot(weights, values, marker="o")
        for part, style in (("floor", ":"), ("ceiling", "--")):
            axes.axhline(row.figures[part].value, linestyle=style, color="grey", label=part)
        axes.set_title(f"{row.map}: {row.about.title}", fontsize=9)
        axes.set_xlabel("weight")
        axes.legend(fontsize=8)
    page.savefig(png := io.BytesIO(), format="png", dpi=120)
    return png.getvalue()
