from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

import sfumato


@pytest.fixture(scope="module")
def pipe(tiny_model) -> sfumato.Pipe:
    return sfumato.load(tiny_model)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """A yellow disc on blue, of the size that `pipe` was made for."""
    image = Image.new("RGB", (32, 32), (40, 90, 160))
    ImageDraw.Draw(image).ellipse((8, 8, 26, 26), fill=(230, 180, 40))
    return image
