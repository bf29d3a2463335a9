"""The study of composites, on a model of random weights."""

import csv

import numpy as np
import pytest
from PIL import Image

from sfumato import study
from sfumato.picture import BadInput
from sfumato.study import composites


def test_it_compares_the_four_on_every_picture(tmp_path, tiny_model):
    settings = ["count=2", "shown=1", "steps=2"]
    page = study.run("composites", model=str(tiny_model), out=tmp_path, settings=settings, progress=False)
    assert page.read_text().count("<figure>") == len(list(tmp_path.glob("*.png"))) == 2
    with open(tmp_path / "table.csv") as file:
        rows = {row["composite"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["none", "paste", "poisson", "latent", "decoder", "the original"]
    behind = {name: float(rows[name]["background PSNR"]) for name in composites.METHODS}
    assert behind["paste"] == behind["poisson"] == 120
    assert behind["none"] < behind["latent"] < 120
    assert behind["none"] < behind["decoder"] < 120
    assert float(rows["paste"]["foreground PSNR"]) == 120
    assert float(rows["poisson"]["seam"]) < float(rows["paste"]["seam"])


def test_figures_tell_the_background_from_the_foreground():
    mask = composites.middle((16, 16))
    inside = np.asarray(mask)[..., None] > 0
    held, decoded = (np.full((16, 16, 3), level, np.uint8) for level in (100, 140))
    pasted = np.where(inside, decoded, held)
    images = [Image.fromarray(array) for array in (pasted, held, decoded)]
    before, saved, psnr, largest, mean, foreground = composites.figures(*images, mask)
    assert before == saved == pytest.approx(40, abs=1e-3)
    assert (psnr, largest, mean, foreground) == (120, 0, 0, 120)
    before, saved, psnr, largest, mean, foreground = composites.figures(images[2], *images[1:], mask)
    assert (before, saved) == (0, pytest.approx(40, abs=1e-3))
    assert (largest, mean) == (pytest.approx(40, abs=1e-3), pytest.approx(40, abs=1e-3))


def test_a_model_of_pixels_has_nothing_to_join(tmp_path, pixel_model):
    with pytest.raises(BadInput, match="without an autoencoder"):
        study.run("composites", model=str(pixel_model()), out=tmp_path, settings=["count=2"], progress=False)
