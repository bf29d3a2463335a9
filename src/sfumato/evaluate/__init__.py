"""Evaluation: what a model's pictures show, measured against what the words said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["run"]


def run(
    model: str,
    *,
    count: int = 200,
    seed: int = 1_000_003,
    steps: int = 20,
    guidance: float = 5.0,
    sampler: str = "dpmpp-2m",
    engine: str = "eager",
    precision: str = "float32",
    judge: Path | None = None,
    instructions: bool | None = None,
    split: str = "seen",
    out: Path | None = None,
    json: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Attribute accuracy of `model` on the built-in world: paint captions, and let the judge read the pictures.

    `count` scenes of split "seen" and `count` of "held-out" (combinations that training never showed) come from the
    world `seed`, which nothing is trained on. The caption states every attribute that the scene has; an attribute
    counts as right when the judge (a classifier trained on ground truth, `sfumato.evaluate.judge`) reads the value
    that was stated. Beside it stands the judge's ceiling: the true pictures, encoded and decoded by the model's own
    autoencoder. Intervals are 95 %: Wilson for shares, a bootstrap over pictures for pooled ones.

    A model that is told what to change in a picture (`instructions`; None: where it is made for that alone) does so
    with `count` pictures of `split`: see `sfumato.evaluate.obedience`.

    Prints a table to stdout (with `json`, the report as JSON), writes report.json and a sheet of pictures for each
    split into the folder `out` if one is given, and returns the report. `judge` is a folder; None is the built-in
    one. Raises BadInput for what a user can mend.
    """
    import sfumato
    from sfumato.evaluate import evaluation as e
    from sfumato.evaluate.attribute_report import attribute_table, write_attribute_report
    from sfumato.evaluate.judge import Judge
    from sfumato.evaluate.model_samples import SampleSettings
    from sfumato.evaluate.obedience import is_told_what_to_change, run_obedience
    from sfumato.evaluate.report_file import printed

    reader = Judge.load(judge) if judge else Judge.load()
    pipe = sfumato.load(model, engine=engine, precision=precision)
    if instructions or (instructions is None and is_told_what_to_change(pipe)):
        sampling = SampleSettings(steps, sampler, guidance, seed)
        return run_obedience(pipe, reader, count=count, split=split, sampling=sampling, out=out, json=json)
    found = e.evaluate(
        pipe, reader, count=count, seed=seed, steps=steps, guidance=guidance, sampler=sampler, bar=progress
    )
    if out is not None:
        write_attribute_report(found, Path(out))
    return printed(found.to_dict(), lambda: attribute_table(found), json)
