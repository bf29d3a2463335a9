"""The built-in model of pictures to pictures mends what it never saw, and touches nothing but what it is asked to."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

import sfumato
from sfumato.edit import Outside, Source
from sfumato.zoo import place

SIDE = 64


@pytest.fixture(scope="module")
def pipe() -> sfumato.Pipe:
    return sfumato.load("palette")


@pytest.fixture(scope="module")
def apples() -> Image.Image:
    """Red and green discs with a light on each: what is nearest to a shop's shelf of all that can be drawn here."""
    dice = np.random.default_rng(4)
    picture = Image.new("RGB", (4 * SIDE, 4 * SIDE), (70, 45, 30))
    draw = ImageDraw.Draw(picture)
    for _ in range(40):
        x, y, r = (*dice.integers(0, 4 * SIDE, 2), int(dice.integers(28, 44)))
        red = dice.random() < 0.7
        for k in range(12):
            shade = 0.55 + 0.45 * k / 11
            colour = (200, 40, 35) if red else (140, 170, 50)
            inner = r * (1 - k / 12)
            centre = x - (r - inner) / 3, y - (r - inner) / 3
            box = (centre[0] - inner, centre[1] - inner, centre[0] + inner, centre[1] + inner)
            draw.ellipse(box, fill=tuple(int(c * shade) for c in colour))
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX)


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(float)


def test_grey_becomes_coloured_and_keeps_its_light(pipe, apples):
    grey = apples.convert("L").convert("RGB")
    out = array(pipe(source=Source(grey, "colourise"), steps=20, seed=1).image)
    luma = out @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma - array(grey)[..., 0]).mean() < 12
    assert (out.max(2) - out.min(2)).mean() > 15


def test_a_hole_takes_the_colours_around_it(pipe, apples):
    hole = Image.new("L", (SIDE, SIDE))
    hole.paste(255, (22, 22, 42, 42))
    out = array(pipe(source=Source(apples, "inpaint"), hold=Outside(hole), steps=20, seed=1).image)
    inside = np.asarray(hole) > 0
    assert np.array_equal(out[~inside], array(apples)[~inside])
    assert np.abs(out[inside].mean(0) - array(apples)[inside].mean(0)).max() < 45


def test_a_bad_jpeg_is_smoothed_without_losing_the_picture(pipe, apples):
    buffer = io.BytesIO()
    apples.save(buffer, "JPEG", quality=8)
    bad = Image.open(buffer).convert("RGB")
    out = array(pipe(source=Source(bad, "restore"), steps=20, seed=1).image)
    assert np.abs(out - array(apples)).mean() < 2 * np.abs(array(bad) - array(apples)).mean()


def test_its_files_are_small_and_its_index_is_diffusers():
    for path in (place("palette")).rglob("*"):
        if path.is_file():
            assert path.stat().st_size < 16 << 20
            assert b"/work" not in path.read_bytes()[:4096] or path.suffix not in (".json", ".md")
