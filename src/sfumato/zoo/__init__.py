"""The built-in miniatures: folders of weights in the ecosystem's format, each with its model card.

Here too: how such folders, built in or not, are found by name and what their JSON says. No torch.
"""

from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

ZOO = Path(__file__).parent
INDEX = "model_index.json"


def shelves() -> list[Path]:
    """The folders that built-in models lie in: this one, and those of packages that have more of them, as sfumato-zoo:
    an entry point of the group "sfumato.zoo" names such a package."""
    return [ZOO, *_others()]


def place(name: str | Path) -> Path:
    """Where a built-in model, or a part of one as "fashion/features", lies on the first shelf that has it; where none
    has, its place on the package's own."""
    return next((shelf / name for shelf in shelves() if (shelf / name).exists()), ZOO / name)


def built_ins() -> list[str]:
    """Names of the models that come with the package, sorted."""
    return sorted({path.parent.name for shelf in shelves() for path in shelf.glob(f"*/{INDEX}")})


@cache
def _others() -> list[Path]:
    found = []
    for point in entry_points(group="sfumato.zoo"):
        try:
            spec = find_spec(point.module)
        except ImportError:  # in a package that is not there
            continue
        found += [Path(each) for each in (spec and spec.submodule_search_locations) or ()]
    return found
