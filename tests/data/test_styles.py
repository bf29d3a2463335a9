"""The painting styles: chance only from the generator, colours that keep their names, looks that can be told apart."""

import colorsys
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.data.vignettes import styles

COLOURS = {
    "red": (208, 38, 48),
    "orange": (243, 134, 38),
    "yellow": (250, 212, 66),
    "green": (62, 152, 82),
    "blue": (48, 104, 204),
    "purple": (126, 66, 168),
    "pink": (246, 150, 188),
    "white": (247, 244, 238),
}


def scene(size=64, colour=(208, 38, 48), width=None):
    """A disc of one colour before a meadow under a sky, drawn at any size from the same formulas."""
    width = width or size
    y, x = np.mgrid[0:size, 0:width]
    y, x = (y + 0.5) / size, (x + 0.5) / width
    instance = np.where(y > 0.6, 1, 0).astype(np.uint8)
    depth = np.where(y > 0.6, 0.5, 1.0).astype(np.float32)
    sky = np.stack([120 + 80 * y, 170 + 50 * y, 225 + 0 * y], -1)
    flat = np.where((y > 0.6)[..., None], (105, 160, 90), sky)
    disc = np.hypot(y - 0.55, x - 0.5) < 0.3
    flat, instance, depth = np.where(disc[..., None], colour, flat), np.where(disc, 2, instance), depth
    return flat.astype(np.uint8), instance.astype(np.uint8), np.where(disc, 0.2, depth).astype(np.float32)


def paint(style, parts, seed=0):
    return styles.apply(style, *parts, np.random.default_rng(seed))


def test_the_styles_are_the_five_named_ones():
    assert styles.STYLES == ("flat", "oil", "watercolour", "pencil sketch", "starry night")


@pytest.mark.parametrize("style", styles.STYLES)
def test_same_generator_same_pixels_and_inputs_left_alone(style):
    parts = scene()
    before = [p.copy() for p in parts]
    first, again, other = paint(style, parts, 5), paint(style, parts, 5), paint(style, parts, 6)
    assert first.dtype == np.uint8
    assert first.shape == parts[0].shape
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    for mine, theirs in zip(parts, before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("style", styles.STYLES)
def test_pixels_do_not_depend_on_what_was_painted_before(style):
    """Noise, paper and hatching are cached; what the cache holds must never change a picture."""
    parts = scene(48)
    first = paint(style, parts, 1)
    for other in styles.STYLES:
        paint(other, scene(40), 2)
        paint(other, parts, 3)
    np.testing.assert_array_equal(paint(style, parts, 1), first)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("style", styles.STYLES)
def test_named_colours_stay_nameable(style, size):
    for name, colour in COLOURS.items():
        parts = scene(size, colour)
        disc = parts[1] == 2
        mean = np.mean([paint(style, parts, seed)[disc].mean(0) for seed in range(3)], axis=0) / 255
        hue, saturation, value = colorsys.rgb_to_hsv(*mean)
        wanted, flat_saturation, _ = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
        if name == "white":
            assert saturation < 0.12, name
            assert value > 0.85, name
        else:
            turn = abs((hue - wanted + 0.5) % 1 - 0.5) * 360
            assert turn < 15, (name, turn)
            assert saturation > 0.55 * flat_saturation, (name, saturation)


@pytest.mark.parametrize("style", styles.STYLES)
def test_nearest_name_of_a_painted_colour_is_its_own(style):
    table = np.array(list(COLOURS.values()), float)
    for index, colour in enumerate(COLOURS.values()):
        parts = scene(64, colour)
        mean = paint(style, parts, 9)[parts[1] == 2].mean(0)
        assert np.linalg.norm(_opponent(table) - _opponent(mean), axis=1).argmin() == index


def _opponent(rgb):
    rgb = np.asarray(rgb, float)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    light = rgb.mean(-1)
    return np.stack([(red - green) * 1.4, blue - (red + green) / 2, 0.35 * light], -1)


def test_starry_night_turns_the_sky_and_only_the_sky_blue():
    parts = scene(64, COLOURS["red"])
    grey = parts[0].copy()
    grey[parts[1] == 0] = 150
    painted = paint("starry night", (grey, *parts[1:]), 4).astype(float)
    sky, meadow = painted[parts[1] == 0].mean(0), painted[parts[1] == 1].mean(0)
    assert sky[2] > sky[0] + 30
    assert meadow[1] > meadow[2] + 20


@pytest.mark.parametrize("style", styles.STYLES)
def test_sizes_agree(style):
    small = np.mean([paint(style, scene(64), s) for s in range(4)], axis=0)
    large = np.mean([paint(style, scene(128), s) for s in range(4)], axis=0)
    large = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
    for region in range(3):
        where = scene(64)[1] == region
        np.testing.assert_allclose(small[where].mean(0), large[where].mean(0), atol=13)


def test_styles_are_told_apart_by_simple_statistics():
    """A nearest-mean classifier on six statistics, fitted on some seeds and colours, names the style of others."""

    def statistics(picture):
        p = picture / 255.0
        light = p.mean(-1)
        border = np.concatenate([light[:2].ravel(), light[-2:].ravel(), light[:, 0], light[:, -1]])
        sky = p[4:20, 4:-4]
        fine = np.abs(np.diff(light, 2, axis=1))
        return np.array([
            border.mean(), light.mean(), fine[4:20].mean() * 6, fine[45:60].mean() * 6,
            (sky[..., 2] - sky[..., 0]).mean(), np.percentile(light, 2) * 2,
        ])  # fmt: skip

    names = list(COLOURS)
    known = {
        s: np.mean([statistics(paint(s, scene(64, COLOURS[c]), k)) for k, c in enumerate(names[::2])], axis=0)
        for s in styles.STYLES
    }
    for style, (seed, name) in itertools.product(styles.STYLES, enumerate(names[1::2])):
        seen = statistics(paint(style, scene(64, COLOURS[name]), 100 + seed))
        assert min(known, key=lambda s: np.linalg.norm(known[s] - seen)) == style, (style, name)


def test_watercolour_leaves_paper_at_the_border_and_keeps_the_middle():
    picture = paint("watercolour", scene(128), 2)
    assert picture[:2].mean() > 235
    assert picture[:, -2:].mean() > 235
    assert picture[60:76, 60:68, 1].mean() < 110


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(8, 90),
    width=st.integers(8, 90),
    style=st.sampled_from(styles.STYLES),
    seed=st.integers(0, 2**32 - 1),
    cell=st.integers(1, 40),
)
def test_anything_can_be_painted(height, width, style, seed, cell):
    rng = np.random.default_rng(seed)
    shape = (height // cell + 1, width // cell + 1)

    def blocks(values):
        return values.repeat(cell, 0).repeat(cell, 1)[:height, :width]

    flat = blocks(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
    instance = blocks(rng.integers(0, 256, shape, dtype=np.uint8))
    depth = blocks(rng.random(shape, dtype=np.float32))
    painted = styles.apply(style, flat, instance, depth, rng)
    assert painted.shape == (height, width, 3)
    assert painted.dtype == np.uint8


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("style", styles.STYLES)
def test_an_empty_picture_is_no_trouble(style, value):
    flat = np.full((64, 200, 3), value, np.uint8)
    painted = paint(style, (flat, np.zeros((64, 200), np.uint8), np.zeros((64, 200), np.float32)))
    assert abs(float(painted.mean()) - value) < 60


def test_what_does_not_fit_is_refused_by_name():
    flat, instance, depth = scene(64)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"gouache.*choose one of flat, oil"):
        styles.apply("gouache", flat, instance, depth, rng)
    with pytest.raises(ValueError, match="at least 8"):
        styles.apply("oil", flat[:5], instance[:5], depth[:5], rng)
    with pytest.raises(ValueError, match="must have the picture's size"):
        styles.apply("oil", flat, instance[:40], depth, rng)
    with pytest.raises(ValueError, match="float64"):
        styles.apply("oil", flat / 255.0, instance, depth, rng)
