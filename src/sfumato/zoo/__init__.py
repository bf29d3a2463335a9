"""The built-in miniatures: folders of weights in the ecosystem's format, each with its model card.

Here too: how such folders, built in or not, are found by name and what their JSON says. No torch.
"""

from pathlib import Path

ZOO = Path(__file__).parent
INDEX = "model_index.json"


def built_ins() -> list[str]:
    """Names of the models that come with the package, sorted."""
    return sorted(path.parent.name for path in ZOO.glob(f"*/{INDEX}"))
