"""The recipe of a picture that another tool made, from what stands in its file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sfumato.formats import parts_of, read_json
from sfumato.formats.folder import place_of
from sfumato.picture import BadInput, read_metadata
from sfumato.picture.errors import name_of, printable
from sfumato.recipe import Recipe
from sfumato.recipe.replay import Said, read_a1111, read_comfyui, read_invokeai, recipe_of
from sfumato.zoo.find import ENDINGS, file_of, here

ALIGNED, ALIGNED_XL = "Align Your Steps", "align-your-steps-a1111-xl"
READERS = {"parameters": read_a1111, "invokeai": read_invokeai, "comfyui": read_comfyui}
"""By where in a file a tool writes; the first that is there is read."""


def replayed(
    picture: str | os.PathLike[str],
    model: str | None,
    places: Sequence[Path] = (),
    *,
    refiner: str | None = None,
    allow_pickle: bool = False,
) -> tuple[Recipe, tuple[str, ...]] | None:
    """The recipe of another tool's picture and remarks on what is otherwise here; None for a picture that says nothing.

    places: files, and folders of files, among which its LoRAs and learned words are looked for. refiner: the model that
    took over, where one did. Raises BadInput, with
    the picture's name, for what can't be replayed, for a file that is nowhere, and where no `model` is given.
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
        model, missing = _decoded(said, model)
        said, skipped = _skipping(_spaced(said, model), model)
        recipe, remarks = recipe_of(said, model, places, refiner=refiner, allow_pickle=allow_pickle)
        remarks += (*missing, *skipped)
    except BadInput as error:
        raise BadInput(f"{name} can't be made again: {error}") from None
    single = file_of(model)
    if single is not None and said.model_hash:
        with open(single[0], "rb") as file:
            ours = hashlib.file_digest(file, "sha256").hexdigest()
        if not ours.startswith(said.model_hash.lower()):
            remarks += (
                f"the model is another file ({ours[:10]}) than it was made with ({printable(said.model_hash, 20)})",
            )
    return recipe, remarks


def _decoded(said: Said, model: str) -> tuple[str, tuple[str, ...]]:
    """The model with the autoencoder that the tool used, where that lies beside a single file; a remark where not.
    Where the parts were files of their own, a folder's autoencoder is taken for the one that was named."""
    single = file_of(model)
    if not said.vae or "vae" in (single or ("", {}))[1]:
        return model, ()
    if single is not None:
        path = single[0].with_name(Path(said.vae.replace("\\", "/")).name)
        if path.is_file() and path.suffix.lower() in ENDINGS and path != single[0]:
            return f"{model}{'&' if single[1] else '?'}vae={path}", ()
    elif said.apart:
        return model, ()
    return model, (
        f"it was decoded by the autoencoder {printable(said.vae, 60)}, which is not here: name it with --model "
        "FILE?vae=OTHER",
    )


def _spaced(said: Said, model: str) -> Said:
    """Align Your Steps as A1111 takes it: Stable Diffusion XL has levels of its own."""
    folder = here(model)
    if folder is None or "text_encoder_2" not in parts_of(folder):
        return said
    xl = {"schedule": ALIGNED_XL}
    said = replace(said, **xl) if said.schedule == ALIGNED else said
    return replace(said, first={**said.first, **xl}) if said.first.get("schedule") == ALIGNED else said


def _skipping(said: Said, model: str) -> tuple[Said, tuple[str, ...]]:
    """Clip skip as the model takes it, whose last layers may be left out anyway; a remark where it does nothing.

    A1111 and InvokeAI leave out layers of OpenAI's CLIP where it alone reads the words: of the CLIPs of Stable
    Diffusion 2 and XL they read the last layer but one, whatever is asked for. ComfyUI counts from the last layer
    there too.
    """
    folder = here(model)
    if said.clip_skip == 1 or folder is None:
        return said, ()
    parts = parts_of(folder)
    config = read_json(place_of(folder, "text_encoder") / "config.json") if "text_encoder" in parts else {}
    if "text_encoder_2" not in parts and config.get("hidden_act", "quick_gelu") == "quick_gelu":
        return said, ()
    if said.tool == "ComfyUI":
        return replace(said, clip_skip=max(said.clip_skip - 1, 1)), ()
    return replace(said, clip_skip=1), (
        f"Clip skip {said.clip_skip} is left out, as {said.tool} passes over it for such a model",
    )
