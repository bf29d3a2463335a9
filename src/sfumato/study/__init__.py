"""Studies: the field's figures and tables as runs that anyone can repeat.

A study is one module: it names its cells (units of work), draws its figures from what they found, and registers itself
in `STUDIES`. `run` keeps every finished cell on disk, so that a study that was broken off goes on where it stopped, and
writes the figures, table.csv and one page. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sfumato.study.study import STUDIES

__all__ = ["STUDIES", "run"]


def run(
    name: str,
    *,
    model: str | None = None,
    out: str | Path | None = None,
    quick: bool = False,
    settings: Sequence[str] = (),
    progress: bool = True,
) -> Path:
    """Run the study `name` and return its page, `out`/index.html (`out` is studies/NAME by default).

    model: a built-in model, a folder or a Hub id, for studies that look at one; each has its own default.
    quick: settings for minutes on two cores. settings: "key=value" each, replacing a setting of the study.
    What is already kept in `out`/cells for the same parameters is not done again.

    Raises `BadInput` for an unknown study or setting, and for a model that the study can't use.
    """
    try:
        import matplotlib as _  # noqa: F401
    except ImportError:
        from sfumato.picture import BadInput

        raise BadInput("studies draw with matplotlib, which is not installed: pip install 'sfumato[study]'") from None
    import shlex

    from sfumato.study.page import write_page
    from sfumato.study.runner import changed, model_of, work
    from sfumato.study.style import house_style

    study = STUDIES[name]
    chosen = changed(study.quick if quick else study.full, settings)
    cells = study.cells(chosen, model_of(name, study, model))
    folder = Path(out) if out is not None else Path("studies") / name
    results = work(name, cells, folder, progress)
    command = ["sfumato study", name, *(["--model", model] if model else []), *(["--quick"] if quick else [])]
    command += [f"--set {shlex.quote(setting)}" for setting in settings]
    with house_style():
        report = study.draw(chosen, results)
        asked = {"model": model or study.model or "none", **vars(chosen)}
        return write_page(folder, study, report, " ".join(command), asked, results)
