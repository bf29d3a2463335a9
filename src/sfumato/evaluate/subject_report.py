"""What `sfumato evaluate --subject` prints and leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.evaluate.report_file import printed, write_report
from sfumato.picture import BadInput

if TYPE_CHECKING:
    from rich.table import Table

    from sfumato.evaluate.subject_fidelity import SubjectFidelity

BETTER = {
    "subject": ("is it there", "floor", "ceiling"),
    "prompt": ("is the rest as asked", "", "prompt before"),
    "nearest": ("is it more than a copy", "", ""),
    "prior": ("did the class stay", "floor", "ceiling"),
    "diversity": ("is the class as various", "", "diversity before"),
}
"""The figures, what they ask, and what stands beside each."""


def report(
    model: str,
    photos: Path,
    subject: str | None,
    kind: str | None,
    before: str | None,
    files: Mapping[str, Sequence[str] | None],
    features: str | None,
    out: Path | None,
    json: bool,
    allow_pickle: bool = False,
    **how: Any,
) -> dict[str, Any]:
    """Measures, prints a table or JSON, and writes report.json into `out`. See `subject_fidelity`."""
    from sfumato.recipe import written

    if not subject:
        raise BadInput("--as is missing: say what prompts call the subject, as 'sks woman'.")
    adapters = written.adapters(files, allow_pickle)
    if before is None and not adapters:
        raise BadInput(
            "Nothing was taught: name the subject's files, as --lora FILE, or the model as it was, --before MODEL."
        )

    import sfumato
    from sfumato.evaluate.features import features as named
    from sfumato.evaluate.subject_fidelity import subject_fidelity

    pipe = sfumato.load(model)
    old = None if before is None else sfumato.load(before)
    extract = named(features or "vignettes-features")
    found = subject_fidelity(pipe, photos, subject, kind or "", extract, adapters=adapters, before=old, **how)
    told = found.to_dict()
    if out is not None:
        write_report(out, told)
    return printed(told, lambda: subject_table(found), json)


def subject_table(found: SubjectFidelity) -> Table:
    """Each figure with its interval, between its floor and its ceiling."""
    from rich.table import Table

    s = found.settings
    view = Table(
        title=f"{s['subject']} in {s['model']}: {s['pictures']} pictures",
        caption=f"Cosines of {s['features']}; {s['steps']} steps, guidance {s['guidance']:g}, seed {s['seed']}; 95 %.",
    )
    for column in ("", "asks", "figure", "floor", "ceiling"):
        view.add_column(column, justify="left" if column in ("", "asks") else "right")
    for name, (asks, floor, ceiling) in BETTER.items():
        if name in found.figures:
            figure = found.figures[name]
            beside = [f"{found.figures[each].value:.3f}" if each in found.figures else "" for each in (floor, ceiling)]
            view.add_row(name, asks, f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})", *beside)
    return view
