"""FLUX.1 Redux from its folder: image_embedder/, and a SigLIP in image_encoder/."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sfumato.formats.folder import read_json
from sfumato.formats.image_encoder import siglip
from sfumato.formats.tensor_file import tensors_of
from sfumato.network.reading import reason
from sfumato.network.spec import as_network
from sfumato.picture.errors import BadInput, name_of

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

EMBEDDER = "image_embedder"


class Redux:
    """FLUX.1 Redux (Black Forest Labs 2024): a SigLIP's states of a picture as further words."""

    def __init__(self, folder: Path, embedder: Any) -> None:
        self.folder, self.embedder = folder, embedder

    def to(self, device: Any) -> Redux:
        """Itself: `of` puts what it makes where the network is."""
        return self

    def face(self, *_: Any) -> Any:
        raise BadInput(f"{name_of(self.folder)} is FLUX.1 Redux, which sees pictures: give it as IPAdapter.")

    def of(self, picture: Image.Image, network: Any, blocks: tuple[str, ...], mask: Tensor | None) -> Any:
        """The picture's words. Raises BadInput for a network that does not read them, and for blocks and masks."""
        from sfumato.network.redux import ReduxWords

        if type(network).__name__ != "FluxTransformer2DModel":
            raise BadInput(f"{name_of(self.folder)} is FLUX.1 Redux, whose words are FLUX.1's alone: leave it out.")
        if blocks or mask is not None:
            raise BadInput("FLUX.1 Redux adds words, which all blocks and places read: leave blocks and mask out.")
        with torch.no_grad():
            words = self.embedder(siglip(self.folder, picture, lambda seen: seen.last_hidden_state))
        if (width := int(network.config["joint_attention_dim"])) != words.shape[-1]:
            raise BadInput(
                f"{name_of(self.folder)} was made for another network: words {words.shape[-1]} wide, not {width}."
            )
        return ReduxWords(as_network(words, network))


def read_redux(folder: Path) -> Redux | None:
    """The Redux in a folder; None where there is no image_embedder/. Raises BadInput where that can't be read."""
    config = folder / EMBEDDER / "config.json"
    return _read(folder, config.stat().st_mtime_ns) if config.is_file() else None


@lru_cache(maxsize=2)
def _read(folder: Path, stamp: int) -> Redux:
    from sfumato.network.redux import ReduxImageEncoder

    place, what = folder / EMBEDDER, f"image embedder in {name_of(folder)}"
    config = read_json(place / "config.json")
    sizes: list[Any] = [config.get(name) for name in ("redux_dim", "txt_in_features")]
    if config.get("_class_name") != "ReduxImageEncoder" or not all(type(n) is int and 0 < n < 1 << 16 for n in sizes):
        raise BadInput(f"The {what} is no ReduxImageEncoder with redux_dim and txt_in_features.")
    files = sorted(place.glob("*.safetensors"))
    if len(files) != 1:
        raise BadInput(f"The {what} has {len(files)} .safetensors files: it is one.")
    made = ReduxImageEncoder(*sizes)
    try:
        made.load_state_dict({name: a.float() for name, a in tensors_of(files[0], "image embedder").items()})
    except RuntimeError as error:
        raise BadInput(f"The {what} is not what its config says: {reason(error)}") from error
    return Redux(folder, made.eval().requires_grad_(False))
