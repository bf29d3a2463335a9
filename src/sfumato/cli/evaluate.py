"""sfumato evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options

_AGAINST = "Against a reference"
_SUBJECT = "A subject"
_CONTROL = "Of a control"
_CAPTIONS, _SET, _CONTROLLED = 200, 1000, 100  # pictures by default: of each split, of a set, with a control


def evaluate(
    model: Annotated[str, typer.Argument(help="A built-in model, a folder, or a Hub id.")] = "mini",
    against: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE",
            help="Compare sets of pictures: vignettes, a FOLDER of pictures or tars, or FILE.npz[:NAME].",
            rich_help_panel=_AGAINST,
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Measure these pictures instead of a model's.", rich_help_panel=_AGAINST),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME or NAME:WEIGHTS of {sfumato.evaluate.features:FEATURES}, or a FOLDER; may be given several "
            "times. By default vignettes-features for vignettes, else inception.",
            rich_help_panel=_AGAINST,
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Some of {sfumato.evaluate.metric:METRICS}; by default all that pictures and features allow.",
            rich_help_panel=_AGAINST,
        ),
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MAP:net=FOLDER,...",
            help="Measure how well a control is obeyed: a map, one of {sfumato.control.maps:ControlMap}, and the "
            "network that is shown it, as depth:net=FOLDER,weight=0.8, or t2i-adapter:map=depth,net=FOLDER; without a "
            "network the model's built-in one; or of an image prompt, ip-adapter:net=FOLDER, how much of the picture "
            "that it is shown comes back; several act at once.",
            rich_help_panel=_CONTROL,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Measure at these weights too, as 0,0.5,1,1.5: a column each and, with -o, a curve.",
            rich_help_panel=_CONTROL,
        ),
    ] = None,
    layout: Annotated[
        bool,
        typer.Option(
            "--layout",
            help="Measure how well a layout is kept to, of a model that was trained on such: a map of classes, or "
            "words and where they hold.",
            rich_help_panel=_CONTROL,
        ),
    ] = False,
    instructions: Annotated[
        bool,
        typer.Option(
            "--instructions",
            help="Measure how well a model does what it is told with a picture: is what was asked for there, and all "
            "else as it was? So are models that are made for that alone, without this.",
        ),
    ] = False,
    count: Annotated[
        int | None,
        typer.Option(
            help=f"Pictures: {_CAPTIONS} of seen compositions and as many of held-out ones, {_SET} of a set, or "
            f"{_CONTROLLED} with a control; so many edits with instructions.",
        ),
    ] = None,
    reference: Annotated[
        int | None,
        typer.Option(
            help="At most so many pictures of the reference; by default 2000 vignettes or 10000 others.",
            rich_help_panel=_AGAINST,
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Vignettes: {sfumato.data.vignettes.scene:SPLITS}.", rich_help_panel=_AGAINST)
    ] = "seen",
    label: Annotated[
        str | None,
        typer.Option(help="Paint this class alone; by default the classes in turn.", rich_help_panel=_AGAINST),
    ] = None,
    batch: Annotated[int, typer.Option(help="Pictures at a time.", rich_help_panel=_AGAINST)] = 8,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap resamples for the intervals; 0 for none.", rich_help_panel=_AGAINST)
    ] = 100,
    lpips: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="LPIPS' weights.", rich_help_panel=_AGAINST)
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the first picture and of the world of scenes; 0 is the training world.")
    ] = 1_000_003,
    sampler: options.Sampler = "dpmpp-2m",
    steps: options.Steps = 20,
    guidance: options.Guidance = None,
    subject: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTOS",
            help="How well was the subject of these pictures learnt, and did its class stay?",
            rich_help_panel=_SUBJECT,
        ),
    ] = None,
    word: Annotated[
        str | None,
        typer.Option("--as", help="What prompts call it.", rich_help_panel=_SUBJECT),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--class", help="What it is one of.", rich_help_panel=_SUBJECT),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The model as it was.", rich_help_panel=_SUBJECT),
    ] = None,
    lora: options.Lora = None,
    embedding: options.Embedding = None,
    hypernetwork: options.Hypernetwork = None,
    adapter: options.Adapter = None,
    allow_pickle: options.AllowPickle = False,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the report and the pictures.")] = None,
    json: options.Json = False,
) -> None:
    """Measure a model: do its pictures show what their captions say, also in combinations it never saw?

    With --control: does it obey a map, between pictures made without it (the floor) and true ones (the ceiling)?

    With --layout: does it keep to where things are to lie, between the same two?

    With --instructions: does it do what it is told with a picture, "make the hat red", and nothing else?

    With --against: how near are its pictures to a reference, by FID and its kin, with intervals? A run that was
    stopped goes on where it was; pictures and features are kept.

    With --subject PHOTOS --as "sks woman" --class woman: is the subject in what is asked for, and is its class as it
    was?
    """
    from sfumato.data.vignettes.scene import SPLITS
    from sfumato.formats import capabilities_named
    from sfumato.guide import ClassifierFree
    from sfumato.picture import BadInput, check_folder
    from sfumato.picture.errors import printable
    from sfumato.recipe import Recipe, written

    # refuse before torch is loaded
    guided = ClassifierFree() if guidance is None else ClassifierFree(guidance)
    Recipe(steps=steps, seed=seed, model=model, sampler=written.sampler(sampler), guidance=(guided,))

    def scale() -> float:
        """The scale that was said, or that suits the model, which may have to be fetched: asked for last."""
        return capabilities_named(model).suits.scale if guidance is None else guidance

    if count is not None and count < 1:
        raise BadInput(f"--count is {count}: give a whole number of at least 1")
    files = {"lora": lora, "embedding": embedding, "hypernetwork": hypernetwork, "adapter": adapter}
    about = {"--as": word, "--class": kind, "--before": before, **{f"--{name}": each for name, each in files.items()}}
    if subject is None and (lost := [name for name, value in about.items() if value]):
        raise BadInput(f"{lost[0]} goes with --subject: say of which pictures, as --subject photos")
    if subject is not None and (against is not None or control):
        raise BadInput(f"--subject and --{'control' if control else 'against'} are two evaluations: leave one out")
    if layout and (against is not None or control or instructions or subject is not None):
        raise BadInput("--layout is an evaluation of its own: leave --against, --control and their kin out")
    if subject is not None:
        from sfumato.evaluate.subject_report import report

        chosen = features[0] if features else None
        how = {"each": count or 4, "steps": steps, "guidance": scale(), "seed": seed}
        report(model, subject, word, kind, before, files, chosen, out, json, allow_pickle, **how)
        return
    if instructions and (against is not None or control or subject is not None):
        raise BadInput("--instructions is an evaluation of its own: leave --against, --control and --subject out")
    if against is not None and control:
        raise BadInput("--control and --against are two evaluations: leave one of them out")
    if weights is not None and not control:
        raise BadInput("--weights goes with --control: say whose, as --control depth:net=FOLDER")
    if split not in SPLITS:
        raise BadInput(f"--split {printable(split, 40)} is unknown: accepted are {', '.join(SPLITS)}")
    if out is not None:
        check_folder(out)
    if against is None:
        alone = {"--pictures": pictures, "--features": features, "--metrics": metrics, "--reference": reference,
                 "--label": label, "--lpips": lpips, "--batch": None if batch == 8 else batch,
                 "--resamples": None if resamples == 100 else resamples}  # fmt: skip
        for name, value in alone.items():
            if value is not None:
                raise BadInput(f"{name} goes with --against: say what to compare with, as --against vignettes")
        if control or layout:
            from sfumato.evaluate.adherence import run_adherence

            run_adherence(
                model,
                control or [],
                count=_CONTROLLED if count is None else count,
                split=split,
                seed=seed,
                steps=steps,
                guidance=scale(),
                sampler=sampler,
                weights=_weights(weights),
                layout=layout,
                out=out,
                json=json,
            )
            return
        from sfumato.evaluate import run

        run(
            model,
            count=_CAPTIONS if count is None else count,
            seed=seed,
            steps=steps,
            guidance=scale(),
            sampler=sampler,
            instructions=instructions or None,
            split=split,
            out=out,
            json=json,
        )
        return

    from sfumato.evaluate.compare import compare_and_report as compare

    compare(
        None if pictures else model,
        against,
        folder=pictures,
        features=features or (),
        metrics=[name.strip() for name in (metrics or "").split(",") if name.strip()],
        count=_SET if count is None else count,
        most=reference,
        batch=batch,
        steps=steps,
        sampler=sampler,
        guidance=scale(),
        seed=seed,
        split=split,
        label=label,
        resamples=resamples,
        lpips=lpips,
        out=out,
        json=json,
    )


def _weights(text: str | None) -> list[float]:
    """The weights of a sweep. Raises BadInput where they are none."""
    from sfumato.picture import BadInput
    from sfumato.picture.errors import printable

    try:
        found = [float(each) for each in (text or "").split(",") if each.strip()]
    except ValueError:
        found = []
    if text is not None and not (found and all(0 <= each <= 10 for each in found)):
        raise BadInput(f"--weights is {printable(repr(text), 60)}: give numbers from 0 to 10, as 0,0.5,1,1.5")
    return list(dict.fromkeys(found))
