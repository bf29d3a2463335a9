"""sfumato models"""

from __future__ import annotations

from sfumato.cli import options


def models(json: options.Json = False) -> None:
    """List the models that are here: built-in ones, and those fetched from the Hub before."""
    from sfumato.cli.common import print_json
    from sfumato.provenance import known_models

    found = known_models()
    if json:
        print_json({"models": [model.as_dict() for model in found]})
        return
    for model in found:
        print(model.line())
    if not found:
        print("no models: none is built in, and the Hub's cache holds none")
