"""DiffEdit on the built-in model, on a picture of which everything is known: words alone find the vase."""

import numpy as np
import pytest
from PIL import Image

import sfumato
from sfumato import Inferred, Inverted
from sfumato.data import vignettes
from sfumato.data.vignettes.vocabulary import SEMANTIC
from sfumato.evaluate.judge import Judge
from sfumato.space.pixels import to_tensor

BEFORE, AFTER = "a painting of a green vase", "a painting of a blue vase"


@pytest.fixture(scope="module")
def vase():
    scene = next(
        found
        for index in range(10_000)
        if (found := vignettes.scene(900_002, index))["subject"] == "vase" and found["color"] == "green"
    )
    return vignettes.draw(scene, 128)


@pytest.fixture(scope="module")
def edited(vase):
    picture = Image.fromarray(vase.image)
    pipe = sfumato.load("mini")
    hold = Inferred(BEFORE, draws=6)
    return pipe(AFTER, start=Inverted(picture, 0.9, BEFORE, 1), hold=hold, steps=12, seed=3)


def test_the_mask_is_the_vase(vase, edited):
    mask, truth = np.asarray(edited.masks[0]) == 255, vase.semantic == SEMANTIC["vase"]
    assert (mask & truth).sum() / (mask | truth).sum() > 0.5


def test_the_vase_is_repainted_and_the_rest_is_kept_to_the_byte(vase, edited):
    mask, new = np.asarray(edited.masks[0]) == 255, np.asarray(edited.image)
    assert (new[~mask] == vase.image[~mask]).all()
    inside = mask & (vase.semantic == SEMANTIC["vase"])
    (_, green, blue), (_, new_green, new_blue) = (p[inside].mean(0) for p in (vase.image.astype(float), new))
    assert green > blue
    assert new_blue > new_green + 20


def test_the_judge_sees_a_blue_vase(edited):
    verdict = Judge.load().predict(to_tensor([edited.image]))[0]
    assert (verdict["subject"], verdict["color"]) == ("vase", "blue")
