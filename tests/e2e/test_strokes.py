"""Colour strokes become a picture: SDEdit on the built-in model (Meng et al. 2022, figure 1)."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

import sfumato
from sfumato import SDEdit
from sfumato.evaluate.judge import Judge
from sfumato.space.pixels import to_tensor

PROMPT = "an oil painting of a red boat on the sea on a sunny day"
SIZE, BLOCK = 128, 16


@pytest.fixture(scope="module")
def strokes() -> Image.Image:
    image = Image.new("RGB", (SIZE, SIZE), (150, 200, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 72, SIZE, SIZE), fill=(40, 90, 150))
    draw.polygon([(24, 84), (88, 84), (78, 102), (34, 102)], fill=(200, 40, 40))
    draw.polygon([(54, 24), (54, 80), (88, 76)], fill=(250, 245, 235))
    draw.line((52, 20, 52, 84), fill=(90, 60, 40), width=4)
    return image


@pytest.fixture(scope="module")
def pictures(strokes) -> dict[str, list[np.ndarray]]:
    pipe = sfumato.load("mini")
    starts = {"strokes": SDEdit(strokes, 0.7), "words alone": None}
    return {
        name: [np.asarray(image) for image in pipe(PROMPT, start=start, steps=12, count=4, seed=1).images]
        for name, start in starts.items()
    }


def coarse(picture) -> np.ndarray:
    """Mean colours of blocks of 16 x 16 pixels."""
    return np.asarray(picture, float).reshape(SIZE // BLOCK, BLOCK, SIZE // BLOCK, BLOCK, 3).mean((1, 3))


def fine(picture) -> float:
    """Mean contrast from pixel to pixel within the blocks."""
    values = np.asarray(picture, float).mean(-1)
    return float(np.median(np.abs(np.diff(values, axis=1))))


def test_the_picture_keeps_the_strokes_layout_and_words_alone_do_not(strokes, pictures):
    apart = {name: [np.abs(coarse(p) - coarse(strokes)).mean() for p in found] for name, found in pictures.items()}
    assert max(apart["strokes"]) < min(apart["words alone"])


def test_it_is_painted_where_the_strokes_are_flat(strokes, pictures):
    assert fine(strokes) == 0
    assert min(fine(picture) for picture in pictures["strokes"]) >= 1


def test_it_shows_what_the_words_say(pictures):
    found = Judge.load().predict(to_tensor([Image.fromarray(picture) for picture in pictures["strokes"]]))
    for name, value in {"subject": "boat", "place": "sea", "light": "day"}.items():
        assert sum(judged[name] == value for judged in found) >= 3, (name, found)
