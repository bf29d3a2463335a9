"""The features that FID, KID, the Inception Score and sFID are defined on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from sfumato.evaluate.features.extractor import LOGITS, POOL, SPATIAL, Extractor, Rows, fingerprint
from sfumato.evaluate.features.resize import bicubic, legacy
from sfumato.network.inception import SIZE, Inception
from sfumato.picture import BadInput
from sfumato.picture.errors import name_of

FILE = "pt_inception-2015-12-05-6726825d.pth"
DIGEST = "6726825d"  # how the SHA-256 of the standard weights begins
VARIABLE = "SFUMATO_INCEPTION"
WAYS: dict[str, tuple[Callable[[Tensor, int], Tensor], str]] = {
    "inception": (legacy, "bilinear to 299 x 299 as TensorFlow 1 does it, (x - 128)/128"),
    "inception-clean": (bicubic, "antialiased bicubic to 299 x 299 (clean-fid), (x - 128)/128"),
}


def load(name: str, where: str | None) -> Extractor:
    """ "inception" (as torch-fidelity) or "inception-clean" (as clean-fid) with the weights of the file `where`.

    Weights that are not the standard ones are said so in the name. BadInput where there are none.
    """
    path = located(name, where)
    network, digest = read_weights(path)
    resize, said = WAYS[name]

    def read(pictures: Tensor) -> Rows:
        levels = (pictures + 1) * 127.5
        pool, logits, spatial = network((resize(levels, SIZE) - 128) / 128)
        return {POOL: pool, LOGITS: logits, SPATIAL: spatial}

    return Extractor(
        name=name if digest.startswith(DIGEST) else f"{name} (not the standard weights: {path.name})",
        preprocessing=said,
        read=read,
        fingerprint=fingerprint(network, said),
    )


def located(name: str, where: str | None) -> Path:
    """The file of the weights: as given, else from the environment; `owner/name/file` is fetched from the Hub."""
    given = where or os.environ.get(VARIABLE)
    if not given:
        raise BadInput(
            f"FID's Inception network needs its weights, the file {FILE}: say where it is with --features {name}:FILE "
            f"or in {VARIABLE}, or choose other features, as --features vignettes-features."
        )
    path = Path(given).expanduser()
    if path.is_file():
        return path
    if given.count("/") == 2 and not given.startswith((".", "/", "~")):
        return _from_hub(given)
    raise BadInput(f"There is no file {name_of(given)} with Inception's weights: give the path of {FILE}.")


def _from_hub(given: str) -> Path:
    from huggingface_hub import hf_hub_download

    owner, repository, file = given.split("/")
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except Exception as error:
        raise BadInput(
            f"{name_of(given)} is no file here and could not be fetched from the Hub ({type(error).__name__}): "
            f"give the path of {FILE}."
        ) from error


def read_weights(path: Path) -> tuple[Inception, str]:
    """The network with the weights of a .pth or .safetensors file, and the file's SHA-256."""
    from safetensors.torch import load_file

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
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise BadInput(
            f"{name_of(path)} holds no weights of FID's Inception network ({reason}): give the file {FILE}."
        ) from error
    return network.eval().requires_grad_(False), digest
