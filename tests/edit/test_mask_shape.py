"""What growing, feathering and shrinking promise of every mask, and their distances pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from sfumato.edit import feather, grow, shrinking
from sfumato.picture import BadInput

SIDES = (11, 14)
hard = st.integers(0, 2**32 - 1).map(
    lambda seed: torch.from_numpy((np.random.default_rng(seed).random((1, 1, *SIDES)) < 0.06).astype(np.float32))
)
soft = st.integers(0, 2**32 - 1).map(
    lambda seed: torch.from_numpy(
        (np.random.default_rng(seed).random((1, 1, *SIDES)) ** 8).astype(np.float32).round(decimals=2)
    )
)
pixels = st.floats(0, 20)
EMPTY, FULL = torch.zeros(1, 1, *SIDES), torch.ones(1, 1, *SIDES)


def distance(mask):
    """From each pixel to the mask; infinite for an empty one."""
    empty = not mask.any()
    return np.full(SIDES, math.inf) if empty else ndimage.distance_transform_edt(mask[0, 0].numpy() == 0)


@settings(max_examples=60, deadline=None)
@given(hard, pixels)
def test_grown_is_all_within_the_distance(mask, r):
    assert (grow(mask, r)[0, 0].numpy() == (distance(mask) <= r + 1e-9)).all()


@settings(max_examples=60, deadline=None)
@given(hard, pixels)
def test_shrunk_is_all_farther_than_the_distance_from_what_was_outside(mask, r):
    inside = 1 - mask
    assert (grow(inside, -r)[0, 0].numpy() == (distance(mask) > r + 1e-9)).all()


@settings(max_examples=60, deadline=None)
@given(soft, st.floats(-20, 20), st.floats(-20, 20))
def test_growing_is_monotone_and_keeps_the_range(mask, a, b):
    less, more = sorted((a, b))
    assert (grow(mask, less) <= grow(mask, more)).all()
    for grown in (grow(mask, less), grow(mask, more)):
        assert grown.min() >= 0
        assert grown.max() <= 1


@settings(max_examples=60, deadline=None)
@given(hard, pixels)
def test_a_feather_is_the_gaussian_of_the_distance(mask, r):
    d = distance(mask)
    soft = np.where(d <= r, np.exp(-(np.minimum(d, 1e3) ** 2) / (2 * (max(r, 1e-9) / 3) ** 2)), 0)
    wanted = soft if r >= 1 else mask[0, 0].numpy()
    np.testing.assert_allclose(feather(mask, r)[0, 0].numpy(), wanted, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(soft, pixels)
def test_a_feather_keeps_the_range_and_the_mask_and_is_0_beyond_its_radius(mask, r):
    found = feather(mask, r)
    assert (found >= mask).all()
    assert found.max() <= 1
    assert (found[grow(mask, r) == 0] == 0).all()


@given(st.floats(-20, 20))
@settings(max_examples=20, deadline=None)
def test_empty_stays_empty_and_full_stays_full(r):
    for mask in (EMPTY, FULL):
        assert torch.equal(grow(mask, r), mask)
        assert torch.equal(feather(mask, abs(r)), mask)


def test_nothing_asked_is_nothing_done():
    mask = torch.rand(2, 1, *SIDES)
    assert torch.equal(grow(mask, 0), mask)
    assert torch.equal(feather(mask, 0), mask)


@settings(max_examples=40, deadline=None)
@given(soft, st.floats(0, 10), st.floats(0, 1), st.floats(0, 1))
def test_the_mask_shrinks_to_itself_as_the_noise_falls(mask, dilation, t, s):
    assert torch.equal(shrinking(mask, dilation, 0.0), mask)
    assert torch.equal(shrinking(mask, dilation, 1.0), grow(mask, dilation))
    low, high = sorted((t, s))
    assert (shrinking(mask, dilation, low) <= shrinking(mask, dilation, high)).all()


def test_a_negative_feather_is_refused():
    with pytest.raises(BadInput, match="0 pixels or more"):
        feather(EMPTY, -1)
