"""sfumato study"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def study(
    name: Annotated[str | None, typer.Argument(help="Which one; --list names them.")] = None,
    model: Annotated[str | None, typer.Option(help="The model to look at; without it the study's own choice.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller settings: minutes on two cores.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Only name the studies.")] = False,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; by default studies/NAME.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; repeatable.")
    ] = None,
    nets: Annotated[
        list[str] | None,
        typer.Option("--net", metavar="KIND=FOLDER", help="The network that obeys a kind of map; repeatable."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Draw one of the field's figures or tables anew: pictures, table.csv and a page that explains them.

    Every finished part is kept in the folder: Ctrl-C leaves, and the same command goes on from there.
    """
    from json import dumps

    from sfumato.cli.common import print_json
    from sfumato.picture import BadInput, check_folder
    from sfumato.study import STUDIES, run

    if listed:
        summaries = {each: study.summary for each, study in sorted(STUDIES.items())}
        if json:
            print_json({"studies": summaries})
        else:
            width = max(map(len, summaries))
            print(*(f"{each:<{width}}  {summary}" for each, summary in summaries.items()), sep="\n")
        return
    if name is None:
        raise BadInput(f"which study? choose one of {', '.join(STUDIES)}")
    if out is not None:
        check_folder(out)
    told = [*(settings or []), *([f"nets={dumps(nets, ensure_ascii=False)}"] if nets else [])]
    page = run(name, model=model, out=out, quick=quick, settings=told)
    if json:
        print_json({"page": str(page), "figures": sorted(map(str, page.parent.glob("*.png"))), "study": name})
    else:
        print(page)
