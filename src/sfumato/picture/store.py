"""Where input pictures are kept, by what they are: a recipe names them, and redo finds them again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated

from PIL import Image
from platformdirs import user_data_path
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from sfumato.picture.door import open_picture
from sfumato.picture.errors import BadInput
from sfumato.picture.files import encode_png, write_atomically


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Ref:
    """A picture in the store: the SHA-256 of its pixels (64 hex digits) and its size. Masks are kept the same way."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits")]
    width: Annotated[int, Field(ge=1, description="a whole number of pixels, at least 1")]
    height: Annotated[int, Field(ge=1, description="a whole number of pixels, at least 1")]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), as PIL gives it."""
        return self.width, self.height


def pixels_hash(image: Image.Image) -> str:
    """`sha256:` and the SHA-256 of the size and the RGB bytes: the same in every format that keeps pixels.

    Hashed is `WIDTHxHEIGHT:RGB:` in ASCII, then the rows from the top, three bytes a pixel. A grey image counts as the
    RGB image with three equal channels.
    """
    digest = hashlib.sha256(f"{image.width}x{image.height}:RGB:".encode())
    digest.update(image.convert("RGB").tobytes())
    return f"sha256:{digest.hexdigest()}"


def home() -> Path:
    """The folder for the user's data: `$SFUMATO_HOME`, or the platform's own place for it."""
    chosen = os.environ.get("SFUMATO_HOME")
    return Path(chosen).expanduser() if chosen else user_data_path("sfumato", appauthor=False)


def keep(image: Image.Image) -> Ref:
    """Keep `image` (RGB, or L for a mask) in the store and return its `Ref`; what is there already stays."""
    ref = Ref(pixels_hash(image).removeprefix("sha256:"), image.width, image.height)
    if _kept(ref) is None:
        try:
            write_atomically(_place(ref), encode_png(image))
        except BadInput as error:
            raise BadInput(f"input pictures are kept in SFUMATO_HOME, now {home()}, but {error}") from None
    return ref


def fetch(ref: Ref) -> Image.Image:
    """The picture that `ref` names, in mode RGB; `BadInput` if it isn't kept here or was changed."""
    image = _kept(ref)
    if image is None:
        raise BadInput(
            f"the input picture {ref.sha256[:12]} ({ref.width} x {ref.height}) is not in {home()}: "
            "open the recipe where it was made, or give the picture again"
        )
    return image


def _place(ref: Ref) -> Path:
    return home() / "pictures" / ref.sha256[:2] / f"{ref.sha256}.png"


def _kept(ref: Ref) -> Image.Image | None:
    try:
        image = open_picture(_place(ref))
    except BadInput:
        return None
    return image if pixels_hash(image) == f"sha256:{ref.sha256}" else None
