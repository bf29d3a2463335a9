from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from stock.unets import SIDE

Variant = Callable[..., Path]


@pytest.fixture
def variant(tiny_model: Path, tmp_path: Path) -> Variant:
    """variant("unet/config.json", sample_size=None): a copy of a model in which one JSON file says something else."""

    def make(file: str = "", source: Path = tiny_model, **changes: Any) -> Path:
        folder = tmp_path / f"variant-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(source, folder)
        if file:
            path = folder / file
            path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        return folder

    return make


@pytest.fixture
def weights() -> Callable[..., None]:
    """weights(file, change): rewrites a file of weights; `change` is given the tensors by name and gives others."""
    from safetensors.torch import load_file, save_file

    def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        changed = {name: tensor.contiguous() for name, tensor in change(load_file(path)).items()}
        save_file(changed, path, metadata={"format": "pt"})

    return rewrite


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A disc, of the size of the tiny U-Nets' pictures."""
    image = Image.new("RGB", (SIDE, SIDE), (40, 90, 160))
    ImageDraw.Draw(image).ellipse((8, 8, 26, 26), fill=(230, 180, 40))
    return image


@pytest.fixture(scope="session")
def mask() -> Image.Image:
    """White in its middle."""
    image = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(image).rectangle((10, 9, 21, 20), fill=255)
    return image
