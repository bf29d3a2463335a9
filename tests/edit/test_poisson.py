"""Poisson cloning against the exact solution of its equation, and on masks that OpenCV alone would spoil."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from sfumato.edit import paste, poisson
from sfumato.picture import BadInput

SIDE = 48
Y, X = np.mgrid[:SIDE, :SIDE]
HILLS = np.stack([90 + X, 60 + Y, 110 + 20 * np.sin(X / 9)], -1).astype(np.uint8)
WAVES = np.stack([120 + 25 * np.sin(Y / 3), 80 + 25 * np.cos(X / 4), 60 + 20 * np.sin((X + Y) / 5)], -1)
WAVES = WAVES.astype(np.uint8)
MASKS = {
    "disc": (Y - 24) ** 2 + (X - 22) ** 2 < 14**2,
    "at the border": (X < 16) & (Y > 10) & (Y < 38),
    "in a corner": (X < 20) & (Y < 20),
    "across": abs(Y - 24) < 9,
    "two parts": ((Y - 12) ** 2 + (X - 12) ** 2 < 49) | ((Y - 36) ** 2 + (X - 36) ** 2 < 64),
    "a line": (Y == 20) & (X > 8) & (X < 40),
    "a dot": (Y == 20) & (X == 20),
    "a dot in the corner": (Y == 0) & (X == 0),
}
each_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


def exact(original, result, mask):
    """Perez, Gangnet & Blake's equation 7 as a sparse system, one unknown a masked pixel; free at the border."""
    ys, xs = np.nonzero(mask)
    count = len(ys)
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(count)
    system, right = sparse.lil_matrix((count, count)), np.zeros((count, 3))
    for k, (y, x) in enumerate(zip(ys, xs, strict=True)):
        for ny, nx in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            if 0 <= ny < SIDE and 0 <= nx < SIDE:
                system[k, k] += 1
                right[k] += result[y, x].astype(float) - result[ny, nx]
                if mask[ny, nx]:
                    system[k, number[ny, nx]] -= 1
                else:
                    right[k] += original[ny, nx]
    solved = original.astype(float)
    solved[mask] = spsolve(system.tocsc(), right)
    return solved.clip(0, 255)


def seam(picture, mask):
    """The mean step from a masked pixel to a neighbour that is not."""
    steps = []
    for axis in (0, 1):
        across = np.diff(mask.astype(int), axis=axis) != 0
        steps.append(np.abs(np.diff(picture.astype(float), axis=axis)).mean(-1)[across])
    return np.concatenate(steps).mean()


@each_mask
def test_it_is_near_the_exact_solution_and_the_outside_stays(mask):
    cloned = poisson(HILLS, WAVES, mask)
    assert (cloned[~mask] == HILLS[~mask]).all()
    error = np.abs(cloned - exact(HILLS, WAVES, mask))[mask].mean()
    apart = np.abs(WAVES.astype(float) - exact(HILLS, WAVES, mask))[mask].mean()
    assert error < 4
    assert error < 0.25 * apart


@each_mask
def test_the_seam_is_smaller_than_pasted(mask):
    own = seam(HILLS, mask)
    assert seam(poisson(HILLS, WAVES, mask), mask) < own + 0.35 * (seam(paste(HILLS, WAVES, mask), mask) - own)


@each_mask
def test_another_light_is_taken_away(mask):
    """The original under a colour of its own, shifted: cloning undoes the shift."""
    shifted = HILLS + np.array([30, 15, 40], np.uint8)
    assert np.abs(poisson(HILLS, shifted, mask).astype(int) - HILLS).max() <= 2


@each_mask
def test_the_same_picture_cloned_is_itself(mask):
    assert (poisson(HILLS, HILLS, mask) == HILLS).all()


def test_parts_do_not_know_of_each_other():
    first, second = ((Y - y) ** 2 + (X - y) ** 2 < 49 for y in (12, 36))
    both = poisson(HILLS, WAVES, first | second)
    assert (both[first] == poisson(HILLS, WAVES, first)[first]).all()
    assert (both[second] == poisson(HILLS, WAVES, second)[second]).all()


def test_a_black_mask_is_the_original_and_a_white_one_the_result():
    assert (poisson(HILLS, WAVES, np.zeros((SIDE, SIDE), np.uint8)) == HILLS).all()
    assert (poisson(HILLS, WAVES, np.full((SIDE, SIDE), 255, np.uint8)) == WAVES).all()


def test_a_soft_edge_blends_what_was_cloned():
    mask = np.where(MASKS["disc"], 255, 0).astype(np.uint8)
    half = np.where(MASKS["disc"], 128, 0).astype(np.uint8)
    assert (poisson(HILLS, WAVES, half) == paste(HILLS, poisson(HILLS, WAVES, mask), half)).all()


def test_nothing_that_was_given_is_written_to():
    given = [HILLS.copy(), WAVES.copy(), np.where(MASKS["disc"], 255, 0).astype(np.uint8)]
    poisson(*given)
    assert (given[0] == HILLS).all()
    assert (given[1] == WAVES).all()
    assert (given[2] == np.where(MASKS["disc"], 255, 0)).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(BadInput, match="one size"):
        poisson(HILLS, WAVES[:5], MASKS["disc"])
    with pytest.raises(BadInput, match="does not fit"):
        poisson(HILLS, WAVES, MASKS["disc"][:5])
