"""Masks to train inpainting with: functions of (seed, index), of sane sizes, shaped by what a vignette shows."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.data import masks, vignettes
from sfumato.data.vignettes.dice import Dice

SIZE = 64


def test_a_mask_is_a_function_of_seed_and_index():
    many = [masks.draw(7, i, SIZE) for i in range(20)]
    assert np.array_equal(many[13], masks.draw(7, 13, SIZE))
    assert len({mask.tobytes() for mask in many}) == 20
    assert not np.array_equal(many[13], masks.draw(8, 13, SIZE))
    assert all(mask.dtype == bool and mask.shape == (SIZE, SIZE) for mask in many)


def test_masks_are_small_and_large_but_never_nothing_and_never_all():
    share = np.array([masks.draw(0, i, SIZE).mean() for i in range(400)])
    low, high = masks.SHARE
    assert low <= share.min() < 0.04
    assert 0.5 < share.max() <= high
    assert 0.1 < np.median(share) < 0.35


def test_a_thing_is_the_ground_truth_of_its_vignette():
    scene = next(s for s in (vignettes.scene(0, i) for i in range(99)) if s["hat"] != "none" and s["jacket"] != "none")
    drawn = vignettes.draw(scene, SIZE)
    assert drawn.boxes is not None
    assert drawn.instance is not None
    things = masks.things(scene, SIZE)
    assert len(things) == len(drawn.boxes)
    for thing, box in zip(things, drawn.boxes, strict=True):
        assert np.array_equal(thing, np.isin(drawn.instance, box["instances"]))
        left, top, right, bottom = box["xyxy"]
        around = np.zeros_like(thing)
        around[top:bottom, left:right] = True
        assert np.array_equal(masks.box_around(thing), around)


def test_a_mask_of_a_thing_covers_it_and_little_more():
    thing = np.zeros((SIZE, SIZE), bool)
    thing[20:40, 25:35] = True
    for i in range(50):
        mask = masks.KINDS["thing"](Dice(0, i, "mask"), SIZE, lambda: [thing])
        assert mask[thing].all()
        assert not mask[:14].any()
        assert not mask[46:].any()
        assert not mask[:, :19].any()
        assert not mask[:, 41:].any()


def test_things_shape_two_masks_in_five_and_are_asked_for_only_then():
    asked = []

    def things():
        asked.append(1)
        return [np.eye(SIZE, dtype=bool)]

    for i in range(300):
        masks.draw(0, i, SIZE, things)
    assert 0.3 < len(asked) / 300 < 0.5


@pytest.mark.parametrize("kind", ["strokes", "boxes", "ellipses"])
def test_a_shape_is_drawn_alike_at_any_size(kind):
    """Twice as large, it covers the same part of the picture."""
    for i in range(10):
        small, large = (masks.KINDS[kind](Dice(0, i, "mask"), size, list) for size in (64, 128))
        assert abs(small.mean() - large.mean()) < 0.04


def test_growing_by_a_distance_reaches_just_so_far():
    dot = np.zeros((9, 9), bool)
    dot[4, 4] = True
    assert np.array_equal(masks.grown(dot, 0), dot)
    assert masks.grown(dot, 1).sum() == 5
    assert masks.grown(dot, 1.5).sum() == 9
    assert not masks.grown(np.zeros_like(dot), 3).any()
