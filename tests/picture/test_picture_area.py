"""The box around a mask, and pictures on a wider canvas."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from sfumato.picture import BadInput, around, extended
from sfumato.picture.area import proportioned

side = st.integers(1, 60)


@st.composite
def masks(draw):
    """A mask with one white rectangle, and that rectangle."""
    width, height = draw(side), draw(side)
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    mask = Image.new("L", (width, height))
    mask.paste(draw(st.integers(1, 255)), (left, top, right, bottom))
    return mask, (left, top, right, bottom)


@settings(max_examples=300, deadline=None)
@given(masks(), st.integers(0, 40), st.tuples(side, side))
def test_the_box_lies_within_the_picture_and_holds_the_mask(drawn, margin, size):
    mask, (left, top, right, bottom) = drawn
    x, y, x2, y2 = around(mask, margin, size)
    assert 0 <= x <= left < right <= x2 <= mask.width
    assert 0 <= y <= top < bottom <= y2 <= mask.height


@settings(max_examples=300, deadline=None)
@given(masks(), st.integers(0, 12), st.integers(4, 20))
def test_in_a_large_picture_the_box_has_the_aspect_the_size_and_the_margin(drawn, margin, edge):
    small, (left, top, right, bottom) = drawn
    mask = Image.new("L", (400, 300))
    mask.paste(small, (130, 110))
    size = (2 * edge, edge)
    x, y, x2, y2 = around(mask, margin, size)
    assert (x2 - x, y2 - y) >= size
    assert abs((x2 - x) / (y2 - y) - 2) <= 2 / (y2 - y)
    assert min(130 + left - x, 110 + top - y, x2 - 130 - right, y2 - 110 - bottom) >= margin - 1
    needed = max(right - left + 2 * margin, 2 * (bottom - top + 2 * margin), 2 * edge)
    assert x2 - x == pytest.approx(needed, abs=1)


def test_of_a_black_mask_it_is_the_whole_picture():
    assert around(Image.new("L", (50, 30)), 8, (16, 16)) == (0, 0, 50, 30)


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.integers(0, 9)] * 4), side, side, st.booleans())
def test_the_canvas_holds_the_picture_and_the_mask_says_what_is_new(border, width, height, masked):
    assume(max(border) > 0)
    rng = np.random.default_rng(width)
    picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    own = Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)) if masked else None
    canvas, mask = extended(picture, border, own)
    left, top, right, bottom = border
    assert canvas.size == mask.size == (width + left + right, height + top + bottom)
    box = (left, top, left + width, top + height)
    assert canvas.crop(box).tobytes() == picture.tobytes()
    inside = np.zeros((height, width), np.uint8) if own is None else np.asarray(own)
    assert (np.asarray(mask.crop(box)) == inside).all()
    around_it = np.asarray(mask).copy()
    around_it[top : top + height, left : left + width] = 255
    assert (around_it == 255).all()


def test_the_new_part_continues_the_edge():
    picture = Image.new("RGB", (20, 20), (10, 20, 30))
    picture.paste((200, 100, 50), (10, 0, 20, 20))
    canvas = np.asarray(extended(picture, (16, 0, 16, 0))[0]).astype(int)
    assert np.abs(canvas[:, 0] - (10, 20, 30)).max() <= 12
    assert np.abs(canvas[:, -1] - (200, 100, 50)).max() <= 12


def test_borders_that_make_no_sense_are_refused():
    picture = Image.new("RGB", (20, 20))
    for border in ((0, 0, 0, 0), (-1, 0, 5, 0)):
        with pytest.raises(BadInput, match="pixels from 0 for left, top, right and bottom"):
            extended(picture, border)
    with pytest.raises(BadInput, match="megapixels"):
        extended(picture, (100_000, 0, 0, 100_000))


@settings(max_examples=200, deadline=None)
@given(st.tuples(side, side), st.tuples(side, side), st.data())
def test_a_part_of_given_proportions_is_the_largest_and_holds_what_it_must(whole, size, data):
    box = proportioned(whole, size)
    wide, high = box[2] - box[0], box[3] - box[1]
    assert 0 <= box[0] < box[2] <= whole[0]
    assert 0 <= box[1] < box[3] <= whole[1]
    assert wide == whole[0] or high == whole[1]
    assert abs(wide * size[1] - high * size[0]) <= max(size) or 1 in (wide, high)
    assert abs(box[0] + box[2] - whole[0]) <= 1
    assert abs(box[1] + box[3] - whole[1]) <= 1
    x, y = data.draw(st.integers(0, whole[0] - wide)), data.draw(st.integers(0, whole[1] - high))
    inner = (x, y, x + data.draw(st.integers(1, wide)), y + data.draw(st.integers(1, high)))
    left, top, right, bottom = proportioned(whole, size, inner)
    assert (right - left, bottom - top) == (wide, high)
    assert left <= inner[0] < inner[2] <= right
    assert top <= inner[1] < inner[3] <= bottom
