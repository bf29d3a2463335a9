"""IP-Adapter FaceID: a face as a recogniser sees it, in the place of a picture (tencent-ailab/IP-Adapter, 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from sfumato.control.control import Control
from sfumato.element import Interval, Kept, KeptMask, Listed, ModelName, Real, element
from sfumato.picture.errors import BadInput, name_of

LONGEST = 4096  # numbers of an embedding


def numbers(value: Any) -> Any:
    """An embedding as a flat tuple of numbers: of an array, a tensor, or a .npy file. Raises BadInput for a picture."""
    if isinstance(value, str | Path):
        value = _from_file(Path(value).expanduser())
    if isinstance(value, bytes) or hasattr(value, "getbands"):  # a PIL image
        raise BadInput(PICTURE)
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    if hasattr(value, "reshape"):
        value = value.reshape(-1).tolist() if value.size <= LONGEST else _refuse()
    return tuple(value) if isinstance(value, Sequence) else value


PICTURE = (
    "FaceID is told a face's embedding, the numbers that a face recogniser makes of a picture (insightface's "
    "normed_embedding, 512 of them), and there is no recogniser here: give them as an array or a .npy file, not a "
    "picture."
)


def _refuse() -> Any:
    raise BadInput(PICTURE)


def _from_file(path: Path) -> Any:
    import numpy

    if path.suffix.lower() != ".npy":
        raise BadInput(PICTURE)
    try:
        return numpy.load(path, allow_pickle=False).astype(float)
    except (OSError, ValueError) as error:
        raise BadInput(f"The embedding {name_of(path)} can't be read: give a .npy file of numbers.") from error


@element("face-id")
class FaceID(Control):
    """As `IPAdapter`, of whom a picture shows and not of what it looks like: keys and values for cross-attention are
    made of the embedding of a face, which insightface or another recogniser found. Of U-Nets.

    embedding: its numbers (512 mostly), as an array or a .npy file. net: a folder with the adapter's weights, one
    .safetensors; of FaceID Plus also image_encoder/, which sees `picture`, the face cut out. shortcut: for version 2 of
    Plus, which adds the face's own tokens. Files that hold a LoRA were trained with it: give `LoRA(the same file)` as
    an adapter too. blocks, mask: as of `IPAdapter`. The unconditional rows look at an embedding of zeros.
    """

    embedding: Annotated[Listed[Real], BeforeValidator(numbers)] = Field(
        min_length=1, max_length=LONGEST, description="the numbers of a face's embedding, an array or a .npy file"
    )
    net: ModelName = Field(min_length=1, description="the folder or the Hub id of a network")
    weight: Real = Field(default=1.0, ge=-10, le=10, description="a number from -10 to 10, where 0 means off")
    picture: Kept | None = Field(default=None, description="the picture of the face, or nothing")
    shortcut: bool = Field(default=False, description="true or false")
    interval: Interval = (0.0, 1.0)
    mask: KeptMask | None = Field(default=None, description="a picture, white where the control acts, or nothing")
    blocks: Listed[str] = Field(
        default=(), max_length=64, description="names of blocks, as down.1+mid+up.1=0.5, or nothing"
    )

    takes, steers = "image tokens", "ImagePrompts"
    part = "ip_adapter"

    def bind(self, batch: Any) -> Any:
        adapter = batch.network(self.net, self.part)
        mask = None if self.mask is None else batch.control_mask(self.mask)
        picture = None if self.picture is None else batch.fetched(self.picture)
        painter = batch.stage.networks[batch.stage.painter]
        adapted = any(each.kind == "lora" for each in batch.recipe.adapters)
        face = adapter.face(self.embedding, picture, self.shortcut, adapted)
        return adapter.of(face, painter, self.blocks, mask)
