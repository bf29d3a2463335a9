"""DiffEdit's benchmark asks for one change, knows where it is, and runs on any model."""

import diffedit
import numpy as np
import pytest
import torch

import sfumato


@pytest.fixture(scope="module")
def found():
    return list(diffedit.changes(6, 32))


def test_captions_differ_in_the_colour_alone(found):
    for change in found:
        before, after = change.before.split(), change.after.split()
        apart = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        words = {word for pair in apart for word in pair}
        assert words - {"a", "an"} <= set(diffedit.COLOURS), words
        assert change.mask.shape == change.picture.shape[:2]
        assert 0.015 <= change.mask.mean() < 0.9


def test_iou_is_shared_over_either():
    one, two = torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    one[:, :, :2], two[:, :, 1:3] = 1, 1
    assert diffedit.iou(one, two).tolist() == pytest.approx([1 / 3] * 2)
    assert diffedit.iou(one, one).tolist() == [1, 1]
    assert diffedit.iou(one, torch.zeros_like(one)).tolist() == [0, 0]


def test_psnr_of_a_tenth_of_the_range_is_20():
    assert diffedit.psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2)).tolist() == pytest.approx([20])


def test_it_runs_on_any_model(tiny_model, found, capsys):
    pipe = sfumato.load(tiny_model)
    diffedit.masks(pipe, found[:2], 2, (0.8,))
    diffedit.trips(pipe, found[:2], (3,), 6)
    diffedit.guided(pipe, found[:1], 3.0, steps=3)
    tables = capsys.readouterr().out
    assert "| 0.8 |" in tables
    plain, refined = (float(line.split("|")[5].split()[0]) for line in tables.splitlines() if line.startswith("| 3 |"))
    assert refined > plain + 3
    assert np.isfinite([plain, refined]).all()
    assert tables.count("| edit-friendly |") == 1
