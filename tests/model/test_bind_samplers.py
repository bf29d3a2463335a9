"""Every sampler that a recipe can name or describe becomes the live one, with its options."""

from typing import get_args

import pytest

from sfumato import names, recipe, sample, times
from sfumato.model.bind import _sampler
from sfumato.recipe import Elements

ELEMENTS = get_args(Elements)


def test_the_names_are_the_same_everywhere():
    assert list(sample.SAMPLERS) == list(names.SAMPLERS) == list(recipe.SAMPLERS)
    assert list(times.GRIDS) == list(names.TIMES) == list(recipe.TIMES)


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda element: element.__name__)
def test_a_name_is_short_for_its_elements_defaults(element):
    assert element().kind in names.SAMPLERS
    assert _sampler(element()) == _sampler(element().kind)


@pytest.mark.parametrize(
    ("element", "live"),
    [
        (recipe.DDIM(0.5), sample.DDIM(0.5)),
        (recipe.DDPM("large"), sample.DDPM("large")),
        (recipe.Euler(recipe.Churn(3.0)), sample.Euler(sample.Churn(3.0))),
        (
            recipe.Heun("kappa", recipe.Churn(3.0, (0.1, 0.5), 1.01)),
            sample.Heun("kappa", sample.Churn(3.0, (0.1, 0.5), 1.01)),
        ),
        (recipe.UniPC(3, "bh1"), sample.UniPC(3, "bh1")),
        (recipe.DEIS(3, "heun"), sample.DEIS(3, "heun")),
        (recipe.AdamsBashforth(3), sample.AdamsBashforth(3)),
        (recipe.RK45(1e-5, 1e-4), sample.RK45(1e-5, 1e-4)),
        (recipe.PredictorCorrector("ddim", 0.2, 3), sample.PredictorCorrector("ddim", 0.2, 3)),
        (recipe.Langevin(100, 0.2, "noisy"), sample.Langevin(100, 0.2, "noisy")),
    ],
    ids=repr,
)
def test_options_reach_the_sampler(element, live):
    assert _sampler(element) == live
