"""Every guidance, from a recipe's element to a picture: made, written into the picture, and made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import sfumato
from sfumato import AutoGuidance, CFGPlusPlus, ClassifierFree, PerturbedAttention, ProjectedGuidance
from sfumato.condition import Condition, Watched
from sfumato.denoise import Prediction
from sfumato.guide import AutoGuided
from sfumato.picture import BadInput
from sfumato.recipe import Recipe

WORDS = "a red boat"


def picture(pipe, *guidance) -> np.ndarray:
    return np.asarray(pipe(WORDS, guidance=guidance, steps=3, seed=4).images[0]).astype(int)


@pytest.fixture(scope="module")
def pipe(tiny_model):
    return sfumato.load(tiny_model)


def test_what_is_off_changes_no_byte(pipe, tiny_model):
    plain = picture(pipe, ClassifierFree(1.0))
    for off in (AutoGuidance(str(tiny_model), 1.0), ProjectedGuidance(1.0), PerturbedAttention(0.0)):
        assert np.array_equal(picture(pipe, off), plain)


def test_each_moves_the_picture(pipe):
    plain = picture(pipe, ClassifierFree(1.0))
    for on in (CFGPlusPlus(0.0), ProjectedGuidance(20.0), PerturbedAttention(20.0, ("mid", "up"))):
        assert not np.array_equal(picture(pipe, on), plain)


def test_a_model_guided_by_itself_stays_as_it_is(pipe, tiny_model):
    alone = picture(pipe, ClassifierFree(3.0))
    assert np.abs(picture(pipe, ClassifierFree(3.0), AutoGuidance(str(tiny_model), 3.0)) - alone).max() <= 1


def test_a_worse_version_of_other_levels_of_noise_is_refused(pipe, tiny_model, tmp_path):
    other = Path(shutil.copytree(tiny_model, tmp_path / "other"))
    path = other / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"beta_schedule": "linear", "beta_end": 0.05}))
    with pytest.raises(BadInput, match=r"The worse version .* knows other levels of noise than this model"):
        picture(pipe, AutoGuidance(str(other), 2.0))


def test_a_worse_versions_attention_is_not_watched():
    """Prompt-to-Prompt blends by the maps of the model itself."""
    seen = []

    def bad(x, t, condition):
        seen.append(condition)
        return Prediction(x, x, x, torch.tensor(1.0), torch.tensor(1.0))

    x = torch.zeros(1, 1, 2, 2)
    watched = Condition.empty(1).adding(Watched(torch.arange(1), None))
    AutoGuided(bad, 2.0).answers(x, torch.tensor(0.5), watched)
    assert watched.get(Watched) is not None
    assert seen[0].get(Watched) is None
    assert seen[0].rows == 1


def test_what_stands_before_cfg_plus_plus_enters_its_pictures(pipe):
    alone = picture(pipe, CFGPlusPlus(0.6))
    assert not np.array_equal(picture(pipe, PerturbedAttention(5.0, ("mid", "up")), CFGPlusPlus(0.6)), alone)


def test_projected_with_everything_kept_is_classifier_free(pipe):
    free, projected = picture(pipe, ClassifierFree(4.0)), picture(pipe, ProjectedGuidance(4.0, eta=1.0))
    assert np.abs(free - projected).max() <= 1


def test_the_pictures_recipe_makes_it_again(pipe, tmp_path):
    guidance = (
        ClassifierFree(4.0),
        PerturbedAttention(2.0, ("mid",), (0.2, 0.9)),
        ProjectedGuidance(2.0, momentum=-0.5),
    )
    result = pipe(WORDS, guidance=guidance, steps=3, seed=4)
    text = result.recipe.to_json()
    assert Recipe.from_json(text).guidance == guidance
    assert np.array_equal(np.asarray(pipe.run(Recipe.from_json(text)).images[0]), np.asarray(result.images[0]))


def test_momentum_belongs_to_one_run():
    guidance = ProjectedGuidance(momentum=-0.5)
    assert guidance.fresh() is not guidance.fresh()
    assert guidance == ProjectedGuidance(momentum=-0.5)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CFGPlusPlus(2.0), "scale is 2.0: give a number from 0 \\(unconditional\\) to 1"),
        (lambda: ProjectedGuidance(momentum=1.0), "momentum is 1.0: give"),
        (lambda: PerturbedAttention(interval=(0.5, 0.2)), "0 <= low <= high <= 1"),
        (lambda: PerturbedAttention(layers=()), "layers"),
        (lambda: AutoGuidance(""), "model is ''"),
    ],
)
def test_refusals_of_recipes(make, sentence):
    with pytest.raises(BadInput, match=sentence):
        make()


def test_refusals_of_models(pipe, pixel_model):
    with pytest.raises(BadInput, match="no self-attention in the layer 'middle': it has some in"):
        picture(pipe, PerturbedAttention(1.0, ("middle",)))
    with pytest.raises(BadInput, match="paints in another space"):
        picture(pipe, AutoGuidance(str(pixel_model())))
    with pytest.raises(BadInput, match="no model called 'nobody'"):
        picture(pipe, AutoGuidance("nobody"))
