from __future__ import annotations

import re

import pytest

from sfumato.data import vignettes
from sfumato.data.vignettes import Scene
from sfumato.evaluate.questions import ask, questions
from sfumato.picture import BadInput

SCENES = [vignettes.scene(1_000_003, i, "any") for i in range(1500)]


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text))


def test_a_caption_says_every_attribute_and_no_two_meanings():
    """From the caption alone the stated attributes can be told: no caption stands for two different wishes."""
    meanings: dict[str, dict[str, str]] = {}
    for scene in SCENES:
        question = ask(scene)
        assert question.wanted == {k: v for k, v in scene.attributes.items() if v != "none"}
        assert set(question.stated) | set(question.absent) == set(vignettes.ATTRIBUTES)
        assert meanings.setdefault(question.caption, question.wanted) == question.wanted


def test_a_caption_that_changes_in_one_attribute_changes():
    for scene in SCENES[:300]:
        for name in ask(scene).stated:
            others = set(vignettes.ATTRIBUTES[name]) - {scene[name], "none"}
            for value in sorted(others):
                try:
                    changed = scene.with_attributes(**{name: value})
                except BadInput:  # a house does not stand in the sea
                    continue
                assert ask(changed).caption != ask(scene).caption


def test_captions_use_words_of_the_training_captions_alone():
    trained = set().union(*(words(c) for i in range(4000) for c in vignettes.scene(0, i).captions))
    asked = set().union(*(words(ask(scene).caption) for scene in SCENES))
    assert asked <= trained


@pytest.mark.parametrize("split", ["seen", "held-out"])
def test_questions_come_from_their_split(split: str):
    asked = questions(40, 1_000_003, split)
    assert len(asked) == 40
    assert all(vignettes.held_out(q.scene) == (split == "held-out") for q in asked)
    assert [q.caption for q in asked[:20]] == [q.caption for q in questions(20, 1_000_003, split)]


def test_articles_and_lists():
    wearing = {"jacket": "orange", "hat": "blue", "glasses": "yes"}
    around = {"subject": "woman", "style": "oil", "light": "sunset", "place": "sea"}
    woman = Scene(1, 1, tuple({**dict.fromkeys(vignettes.ATTRIBUTES, "none"), **around, **wearing}.items()))
    assert ask(woman).caption == (
        "an oil painting of a woman wearing an orange jacket, a blue hat and glasses by the sea at sunset"
    )
