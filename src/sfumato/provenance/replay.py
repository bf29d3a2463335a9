"""The recipe of a picture that another tool made, from what stands in its file."""

from __future__ import annotations

import os

from sfumato.picture import BadInput, read_metadata
from sfumato.picture.errors import name_of, printable
from sfumato.recipe import Recipe
from sfumato.recipe.replay import read_a1111, read_comfyui, read_invokeai, recipe_of
from sfumato.zoo.find import file_of

READERS = {"parameters": read_a1111, "invokeai": read_invokeai, "comfyui": read_comfyui}
"""By where in a file a tool writes; the first that is there is read."""


def replayed(picture: str | os.PathLike[str], model: str | None) -> tuple[Recipe, tuple[str, ...]] | None:
    """The recipe of another tool's picture and remarks on what is otherwise here; None for a picture that says nothing.

    Raises BadInput, with the file's name, for what can't be replayed, and where no `model` is given.
    """
    found, name = read_metadata(picture), name_of(picture)
    key = next((key for key in READERS if key in found), None)
    if key is None:
        return None
    try:
        said = READERS[key](found[key])
        if model is None:
            hashed = f" ({printable(said.model_hash, 20)})" if said.model_hash else ""
            raise BadInput(
                f"{said.tool} made it with the model {printable(said.model or 'it does not name', 100)}{hashed}: say "
                "where that is with --model"
            )
        recipe, remarks = recipe_of(said, model)
    except BadInput as error:
        raise BadInput(f"{name} can't be made again: {error}") from None
    single = file_of(model)
    if single is not None and said.model_hash:
        ours = _hash(single[0])
        if not ours.startswith(said.model_hash.lower()):
            remarks += (
                f"the model is another file ({ours[:10]}) than it was made with ({printable(said.model_hash, 20)})",
            )
    return recipe, remarks


def _hash(path: os.PathLike[str]) -> str:
    """The SHA-256 of a file, of which A1111's "Model hash" is the beginning."""
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
