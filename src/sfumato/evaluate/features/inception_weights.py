"""The features that FID, KID, the Inception Score and sFID are defined on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.evaluate.features.extractor import FEATURES, LOGITS, POOL, SPATIAL, Extractor, Rows, fingerprint
from sfumato.evaluate.features.resize import clean, legacy
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput
from sfumato.picture.errors import name_of, reason_of

if TYPE_CHECKING:
    from sfumato.network.inception import Inception

FILE = "pt_inception-2015-12-05-6726825d.pth"
DIGEST = "6726825d"  # how the SHA-256 of the standard weights begins
VARIABLE = "SFUMATO_INCEPTION"
RESIZE: dict[str, tuple[Callable[[Tensor, int], Tensor], str]] = {
    "inception": (legacy, "bilinear to 299 x 299 as TensorFlow 1 does it, (x - 128)/128"),
    "inception-clean": (clean, "antialiased bicubic to 299 x 299, cut to [0, 255] (clean-fid), (x - 128)/128"),
}


def load_inception(name: str, weights: str | None) -> Extractor:
    """ "inception" (as torch-fidelity) or "inception-clean" (as clean-fid) with the weights of the file `weights`.

    Weights that are not the standard ones are said so in the name. BadInput where there are none.
    """
    from sfumato.network.inception import SIZE

    path = located(name, weights)
    network, digest = read_weights(path)
    resize, preprocessing = RESIZE[name]

    def read(pictures: Tensor) -> Rows:
        levels = (pictures + 1) * 127.5
        pool, logits, spatial = network((resize(levels, SIZE) - 128) / 128)
        return {POOL: pool, LOGITS: logits, SPATIAL: spatial}

    return Extractor(
        name=name if digest.startswith(DIGEST) else f"{name} (not the standard weights: {path.name})",
        preprocessing=preprocessing,
        read=read,
        fingerprint=fingerprint(network, preprocessing),
    )


def located(name: str, weights: str | None) -> Path:
    """The file of the weights: as source, else from the environment; `owner/name/file` is fetched from the Hub."""
    source = weights or os.environ.get(VARIABLE)
    if not source:
        raise BadInput(
            f"FID's Inception network needs its weights, the file {FILE}: say where it is with --features {name}:FILE "
            f"or in {VARIABLE}, or choose other features, as --features vignettes-features."
        )
    path = Path(source).expanduser()
    if path.is_file():
        return path
    if source.count("/") == 2 and not source.startswith((".", "/", "~")):
        return _from_hub(source)
    raise BadInput(f"There is no file {name_of(source)} with Inception's weights: give the path of {FILE}.")


def _from_hub(source: str) -> Path:
    from huggingface_hub import hf_hub_download

    owner, repository, file = source.split("/")
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except Exception as error:
        raise BadInput(
            f"{name_of(source)} is no file here and could not be fetched from the Hub ({type(error).__name__}): "
            f"give the path of {FILE}."
        ) from error


def read_weights(path: Path) -> tuple[Inception, str]:
    """The network with the weights of a .pth or .safetensors file, and the file's SHA-256."""
    from safetensors.torch import load_file

    from sfumato.network.inception import Inception

    network = Inception()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        counters = {name for name in network.state_dict() if name.endswith("num_batches_tracked")}
        missing, strange = network.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
        if wrong := sorted({*missing, *strange} - counters):
            raise ValueError(f"{len(wrong)} weights are missing or strange, the first is {wrong[0]}")
    except Exception as error:
        raise BadInput(
            f"{name_of(path)} holds no weights of FID's Inception network ({reason_of(error)}): give the file {FILE}."
        ) from error
    return network.eval().requires_grad_(False), digest


for name in RESIZE:
    FEATURES.add(name, load_inception)
