"""What a model can be told: classes by name or index, and sentences that stay short."""

import re

import pytest

from sfumato.guide import CFGPlusPlus, ClassifierFree, PerturbedAttention, ProjectedGuidance, StaticThreshold
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.capabilities import WORDS, Capabilities

DIGITS = Capabilities(False, ("1", "2", "0"), 3)
BIRDS = Capabilities(False, ("crane", "Wren", "crane", "wren"), 4)


def test_a_name_goes_before_an_index_and_a_number_is_always_an_index():
    assert [DIGITS.index(label) for label in ("0", "1", 0, 2)] == [2, 0, 0, 2]
    assert DIGITS.index(None) == 3
    assert DIGITS.fitted(Recipe(label=0)).label == "1"


def test_classes_of_one_name_are_told_apart_by_index():
    assert BIRDS.fitted(Recipe(label=2)).label == 2
    assert BIRDS.fitted(Recipe(label=1)).label == "Wren"
    assert BIRDS.index("wren") == 3
    with pytest.raises(BadInput):
        BIRDS.index("WREN")


def test_a_thousand_classes_make_a_short_sentence_with_the_nearest_first():
    many = Capabilities(False, (*(f"kind {i}" for i in range(999)), "sneaker"), 1000)
    with pytest.raises(BadInput) as caught:
        many.index("sneeker\x1b[2J")
    sentence = str(caught.value)
    assert "give one of sneaker, " in sentence
    assert "and 980 more, or 0 to 999." in sentence
    assert len(sentence) < 400
    assert sentence.isprintable()


@pytest.mark.parametrize("vocabulary", [WORDS, BIRDS, Capabilities(False, ("a",)), Capabilities(False)])
@pytest.mark.parametrize("label", [None, 0])
def test_fitting_twice_is_fitting_once(vocabulary, label):
    recipe = Recipe(label=label, guidance=[ClassifierFree(), StaticThreshold()])
    try:
        once = vocabulary.fitted(recipe)
    except BadInput:
        assert (label is None) == (bool(vocabulary.classes) and vocabulary.none is None)
        return
    assert vocabulary.fitted(once) == once
    assert StaticThreshold() in once.guidance
    guided = vocabulary.text or (label is not None and vocabulary.none is not None)
    assert (ClassifierFree() in once.guidance) == guided


def test_guidance_without_a_side_to_move_away_from_is_refused_by_name():
    for guidance in (ClassifierFree(3.0), ProjectedGuidance(), CFGPlusPlus(1.0)):
        with pytest.raises(BadInput, match=re.escape(f"The guidance {guidance.kind} has nothing to guide by")):
            BIRDS.fitted(Recipe(guidance=[guidance]))
    off = (ClassifierFree(1.0, (0.1, 0.5)), ProjectedGuidance(1.0), PerturbedAttention())
    assert BIRDS.fitted(Recipe(guidance=off)).guidance == off


def test_in_a_few_words():
    told = [v.told() for v in (WORDS, DIGITS, Capabilities(True, ("a", "b")), Capabilities(False))]
    assert told == ["words", "3 classes", "words and 2 classes", "nothing"]
