from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.edit import paste
from sfumato.picture import BadInput

rng = np.random.default_rng(0)
ORIGINAL, RESULT = rng.integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["uint8", "bool", "float"])
def test_outside_the_mask_every_byte_stays(kind):
    hard = rng.random((9, 7)) < 0.5
    mask = {"uint8": hard.astype(np.uint8) * 255, "bool": hard, "float": hard.astype(np.float32)}[kind]
    pasted = paste(ORIGINAL, RESULT, mask)
    assert pasted.dtype == np.uint8
    assert (pasted[~hard] == ORIGINAL[~hard]).all()
    assert (pasted[hard] == RESULT[hard]).all()


def test_all_values_of_a_soft_mask_are_rounded_to_the_nearest():
    """Every mask value with every pair of a few bytes, against exact fractions."""
    bytes_ = [0, 1, 2, 100, 127, 128, 200, 254, 255]
    pairs = np.array([(a, b) for a in bytes_ for b in bytes_], dtype=np.uint8)
    original = np.repeat(pairs[None, :, :1], 256, axis=0)
    result = np.repeat(pairs[None, :, 1:], 256, axis=0)
    mask = np.repeat(np.arange(256, dtype=np.uint8)[:, None], len(pairs), axis=1)
    pasted = paste(original, result, mask)
    for m in range(256):
        for j, (a, b) in enumerate(pairs.tolist()):
            exact = Fraction(m * b + (255 - m) * a, 255)
            assert abs(int(pasted[m, j, 0]) - exact) <= Fraction(1, 2)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1, width=32))
def test_a_float_mask_is_rounded_to_the_nearest(m):
    pasted = paste(ORIGINAL, RESULT, np.full((9, 7, 1), m, dtype=np.float32))
    exact = m * RESULT.astype(np.float64) + (1 - m) * ORIGINAL.astype(np.float64)
    assert (np.abs(pasted - exact) <= 0.5 + 1e-9).all()


def test_the_same_picture_pasted_anywhere_is_itself():
    assert (paste(ORIGINAL, ORIGINAL, rng.integers(0, 256, (9, 7), dtype=np.uint8)) == ORIGINAL).all()


def test_batches_and_grey_pictures():
    mask = rng.integers(0, 256, (9, 7), dtype=np.uint8)
    batch = paste(np.stack([ORIGINAL, RESULT]), np.stack([RESULT, ORIGINAL]), np.stack([mask, mask]))
    assert (batch[0] == paste(ORIGINAL, RESULT, mask)).all()
    grey = paste(ORIGINAL[..., :1], RESULT[..., :1], mask)
    assert (grey == batch[0][..., :1]).all()


def test_what_does_not_fit_is_refused():
    mask = np.zeros((9, 7), dtype=np.uint8)
    with pytest.raises(BadInput, match="uint8 pictures"):
        paste(ORIGINAL.astype(np.float32), RESULT, mask)
    with pytest.raises(BadInput, match="one size"):
        paste(ORIGINAL, RESULT[:5], mask)
    with pytest.raises(BadInput, match="does not fit"):
        paste(ORIGINAL, RESULT, mask[:5])
    for wrong in (np.full((9, 7), 255.0), np.full((9, 7), np.nan), mask.astype(np.int64)):
        with pytest.raises(BadInput, match="uint8, bool, or float"):
            paste(ORIGINAL, RESULT, wrong)
