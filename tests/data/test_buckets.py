"""Buckets of like shape: which there are, where a picture goes, and that each batch is of one and each picture's turn
comes as often as another's."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from sfumato.data import buckets
from sfumato.data.folder import Folder
from sfumato.train import rng


def test_sides_are_multiples_and_areas_near_the_square():
    for size, step in ((512, 64), (1024, 128), (64, 16), (64, 4)):
        among = buckets.sizes(size, step)
        assert (size, size) in among
        assert {(h, w) for w, h in among} == set(among)
        for w, h in among:
            assert w % step == h % step == 0
            assert max(w, h) <= 2 * min(w, h)
            assert abs(w * h - size**2) <= step / 2 * max(w, h)


def test_a_square_stays_one_though_its_side_is_no_multiple():
    among = buckets.sizes(72, 16)
    assert among[buckets.nearest((500, 500), among)] == (72, 72)


def test_a_picture_goes_where_least_is_cut_off():
    among = buckets.sizes(512, 64)
    for shape in [(4000, 3000), (3000, 4000), (1000, 1000), (5, 1), (1920, 1080), (1, 9)]:
        chosen = among[buckets.nearest(shape, among)]
        assert np.isclose(buckets.cut_off(shape, chosen), min(buckets.cut_off(shape, each) for each in among))
    assert among[buckets.nearest((7, 7), among)] == (512, 512)


def test_batches_are_of_one_bucket_and_every_picture_has_its_turn():
    counts, size = (3, 1, 5), 4
    starts = np.cumsum((0, *counts))
    seen = np.zeros(9, int)
    for number in range(18):
        rows = rng.bucketed_batch(7, number, size, counts)
        assert np.array_equal(rows, rng.bucketed_batch(7, number, size, counts))
        assert len(set(np.searchsorted(starts, rows, "right"))) == 1
        seen += np.bincount(rows, minlength=9)
    assert seen.tolist() == [2 * size] * 9
    assert np.array_equal(rng.bucketed_batch(7, 5, 4, (9,)), rng.batch(7, 5, 4, 9))


def test_what_is_kept_goes_by_what_files_hold(tmp_path):
    """A file that was touched costs nothing; one that was changed is seen, whatever its size and time."""
    photos, home = tmp_path / "photos", tmp_path / "cache"
    photos.mkdir()
    path = photos / "a.bmp"
    Image.new("RGB", (40, 20), (10, 20, 30)).save(path)

    def read():
        (part,) = Folder(kind="folder", path=photos, size=64).buckets(16, home, 1)
        return part

    before = read()
    assert before.pictures.shape == (1, 48, 96, 3)
    os.utime(path, ns=(1, 1))
    assert read().key == before.key
    Image.new("RGB", (40, 20), (90, 20, 30)).save(path)
    os.utime(path, ns=(1, 1))
    after = read()
    assert after.key != before.key
    assert (after.pictures == (90, 20, 30)).all()
