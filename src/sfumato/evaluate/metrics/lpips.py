"""LPIPS with weights from a folder: none come with the package, and none are guessed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.evaluate.metric import METRICS, PairDistance, PairMetric
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput
from sfumato.picture.errors import name_of, reason_of

if TYPE_CHECKING:
    from sfumato.network.lpips import LPIPS

VARIABLE = "SFUMATO_LPIPS"
SUFFIXES = (".pth", ".pt", ".safetensors")


def lpips(weights: str | None = None) -> LPIPS:
    """The network whose weights lie in the folder `weights` (or SFUMATO_LPIPS): torchvision's AlexNet or VGG-16 and the
    authors' linear weights (alex.pth or vgg.pth). Raises BadInput where they are not there."""
    from sfumato.network.lpips import LPIPS

    folder = weights or os.environ.get(VARIABLE)
    if not folder:
        raise BadInput(
            "LPIPS needs weights: give a folder with AlexNet's or VGG-16's (alexnet-owt-7be5be79.pth, "
            f"vgg16-397923af.pth) and the authors' alex.pth or vgg.pth by --lpips FOLDER or in {VARIABLE}."
        )
    files = [_read(path) for path in sorted(Path(folder).expanduser().glob("*")) if path.suffix in SUFFIXES]
    features = next((w for w in files if "features.0.weight" in w), None)
    lins = next((w for w in files if "lin0.model.1.weight" in w), None)
    if features is None or lins is None:
        lacking = "AlexNet's or VGG-16's weights" if features is None else "the linear weights alex.pth or vgg.pth"
        raise BadInput(f"{name_of(folder)} lacks {lacking}, which LPIPS needs.")
    backbone = "alex" if features["features.0.weight"].shape[-1] == 11 else "vgg"
    try:
        return LPIPS(backbone, features, lins).eval().requires_grad_(False)
    except (KeyError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"{name_of(folder)} holds no weights of LPIPS that fit together ({reason_of(error)})."
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadInput(f"{name_of(path)} can't be read as weights ({reason_of(error)}).") from error


def load_lpips(weights: str | None) -> tuple[PairDistance, str]:
    network = lpips(weights)
    return network, f"lpips-{network.backbone}"


METRICS.add(
    "lpips", PairMetric(title="LPIPS", better="lower", source="Zhang et al. 2018", load=load_lpips, default=False)
)
