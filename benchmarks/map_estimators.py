"""How well the built-in networks read maps in true pictures that nothing was trained on: the ceilings of adherence.

Scenes of all combinations from a world of their own are drawn, read as they are and, with `--model`, encoded and
decoded by that model's autoencoder; "chance" is the truth of another scene in the place of what is read.

    python benchmarks/map_estimators.py [--maps depth,openpose] [--count 200] [--size 64] [--model mini] [--json]
"""

from __future__ import annotations

import argparse
import json

from sfumato.control import ControlMap
from sfumato.data import vignettes
from sfumato.evaluate.adherence import Drawn, rows_of
from sfumato.evaluate.attributes import through
from sfumato.evaluate.map_metric import metrics_of
from sfumato.evaluate.statistics import Figure
from sfumato.space.pixels import to_images, to_tensor


def main() -> None:
    options = _options()
    true = [Drawn.of(vignettes.scene(options.seed, i, "any"), options.size) for i in range(options.count)]
    looks = {"as drawn": [each.picture for each in true]}
    if options.model:
        import sfumato

        space = sfumato.load(options.model).stages[-1].space
        looks["autoencoder"] = to_images(through(space, to_tensor(looks["as drawn"])))
    found: dict[str, dict[str, Figure]] = {}
    for name in options.maps.split(",") if options.maps else ControlMap.registry:
        kind = ControlMap.registry.named(name)
        if not metrics_of(kind.shows):
            continue
        truth = [kind.truth(each) for each in true]
        read = {look: [kind.read(picture) for picture in pictures] for look, pictures in looks.items()}
        for row in rows_of(kind, {"chance": truth[1:] + truth[:1], **read}, truth):
            found[f"{row.map} {row.metric}"] = row.figures
    if options.json:
        print(json.dumps({name: {look: each.to_dict() for look, each in row.items()} for name, row in found.items()}))
    else:
        tell(found, options)


def tell(found: dict[str, dict[str, Figure]], options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    view = Table(
        title=f"Maps read in {options.count} true pictures of world {options.seed}, {options.size} pixels a side"
    )
    view.add_column("map, metric")
    for look in next(iter(found.values())):
        view.add_column(look, justify="right")
    for name, row in found.items():
        view.add_row(name, *(f"{each.value:.3f} ± {each.high - each.value:.3f}" for each in row.values()))
    Console().print(view)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="", help="names, with commas between; all if not given")
    parser.add_argument("--model", help="a model whose autoencoder the pictures go through")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=2_000_003)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
