"""From the options of `sfumato edit` to a recipe's start and hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sfumato.cli.masks import area, canvas, outside

ASKED_BY = {"task": "source", "other": "between", "shows": "inverted"}
"""The option that asks for each kind of start; without any it is sdedit."""
TAKES: dict[str, tuple[str, ...]] = {
    "sdedit": ("strength",),
    "inverted": ("strength", "shows", "refine", "inversion"),
    "between": ("strength", "weight", "other", "refine"),
    "source": ("task",),
}
MASKED = 1.0  # a mask says what to repaint: all of it
EXTENDED = 0.9  # how far the new part of an extended picture is from the stretched edge that it starts from
NEEDS = {"weight": "--with", "refine": "--from or --with", "inversion": "--from"}
WRITTEN = {"other": "--with", "shows": "--from"}


def prompt_of(prompt: str, to: str | None) -> str:
    """The prompt, which may be given by name."""
    from sfumato.picture import BadInput

    if prompt and to is not None:
        raise BadInput("the prompt is given twice, as PROMPT and as --to: give one of them")
    return prompt if to is None else to


def words_edited(source: str | None, method: str | None) -> Any:
    """The recipe's field `attention`, of --from and --method: by default Prompt-to-Prompt, where there is a source."""
    from sfumato.picture import BadInput
    from sfumato.recipe.written import attention

    if source is None and method is not None:
        raise BadInput("--method needs --from: say what is there to begin with")
    return None if source is None else attention(method or "prompt-to-prompt", source)


def start_and_hold(options: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's fields `start`, `hold`, `source`, `area`, `attention`. Raises BadInput for an option without use."""
    from sfumato.cli.common import hushed
    from sfumato.edit import Between, Noise, SDEdit, Source
    from sfumato.picture import BadInput, open_picture
    from sfumato.recipe.written import inversion

    attention = words_edited(options["shows"], options["method"]) if options["method"] else None
    if attention is not None:
        whole = 1.0 if options["strength"] is None else options["strength"]
        options = {**options, "strength": whole, "hold": options["hold"] or "none"}
    given = {name: options[name] for names in TAKES.values() for name in names if options[name] is not None}
    asked = next((name for name in ASKED_BY if name in given), "")
    kind = ASKED_BY.get(asked, "sdedit")
    for name in given:
        if name not in TAKES[kind]:
            without = f"needs {NEEDS[name]}" if name in NEEDS else f"does not go with {_flag(asked)}"
            raise BadInput(f"{_flag(name)} {without}")
    with hushed():
        picture = open_picture(options["picture"])
        if "other" in given:
            given["other"] = open_picture(given["other"])
        picture, mask = canvas(options, picture)
    hold = _hold(options, mask)
    _check_found(options, hold, attention)
    part = area(options, mask)
    if options["extend"] is not None and "strength" in TAKES[kind]:
        given.setdefault("strength", EXTENDED)
    elif mask is not None and kind == "sdedit":
        given.setdefault("strength", MASKED)
    if kind == "source":
        return {"start": Noise(), "source": Source(picture, **given), "hold": hold, "area": part}
    if kind == "inverted":
        start = inversion(given.pop("inversion", "ddim"), picture=picture, **given)
    else:
        start = {"sdedit": SDEdit, "between": Between}[kind](picture, **given)
    return {"start": start, "hold": hold, "area": part, "attention": attention}


def _hold(options: Mapping[str, Any], mask: Any) -> Any:
    """The mask's, the written one, or with --from the one that is inferred."""
    from dataclasses import replace

    from sfumato.edit import Inferred
    from sfumato.picture import BadInput
    from sfumato.recipe.written import hold

    written, shows = options["hold"], options["shows"]
    if mask is not None:
        if written not in (None, "none"):
            raise BadInput("--mask holds what lies outside it and --hold something else: give one of them")
        found = outside(options, mask)
    elif written == "none" or (written is None and shows is None):
        found = None
    else:
        found = hold(written or "inferred")
    if isinstance(found, Inferred) and shows is not None:
        found = replace(found, shows=shows)
    return found


def _check_found(options: Mapping[str, Any], hold: Any, attention: Any) -> None:
    """Raises BadInput where a mask is to be saved and none is found: by DiffEdit, or by a local blend."""
    from sfumato.edit import Inferred
    from sfumato.picture import BadInput

    blends = attention is not None and attention.blend and options["mask"] is None
    if options["save_mask"] is not None and not isinstance(hold, Inferred) and not blends:
        raise BadInput(
            "--save-mask writes a mask that is found: say what the picture shows with --from and give no --mask, "
            "or blend by a word, --method prompt-to-prompt:blend=WORD"
        )


def _flag(name: str) -> str:
    return WRITTEN.get(name, f"--{name}")
