"""Editing by words on the command line: --from and --method."""

from __future__ import annotations

import json

import pytest

from sfumato.edit import Inferred, Inverted, PromptToPrompt
from sfumato.provenance import inspect


def recipe_in(path):
    found = inspect(path).recipe
    assert found is not None
    return found


def test_generate_edits_the_picture_of_other_words(cli, model, home):
    options = ("--model", model, "--steps", 2, "--seed", 1, "-o")
    cli("generate", "a red hat", *options, "plain.png")
    done = cli("generate", "a red hat", "--from", "a blue hat", *options, "edited.png")
    assert (done.status, done.err) == (0, "")
    assert recipe_in(home / "edited.png").attention == PromptToPrompt("a blue hat")
    assert (home / "plain.png").read_bytes() != (home / "edited.png").read_bytes()


def test_edit_inverts_the_picture_and_keeps_to_it_by_words(cli, model, sketch, home):
    method = "prompt-to-prompt:self_maps=0.2,blend=hat+boat,threshold=0.4"
    options = ("--model", model, "--steps", 2, "--refine", 0, "--seed", 1)
    done = cli("edit", sketch, "a red hat", "--from", "a boat hat", "--method", method, *options, "--json")
    assert done.err == ""
    recipe = recipe_in(home / json.loads(done.out)["pictures"][0]["path"])
    assert recipe.attention == PromptToPrompt("a boat hat", self_maps=0.2, blend=("hat", "boat"), threshold=0.4)
    assert isinstance(recipe.start, Inverted)
    assert (recipe.start.strength, recipe.start.shows, recipe.hold) == (1.0, "a boat hat", None)


def test_diffedit_by_name_is_the_default(cli, model, sketch, home):
    options = ("--model", model, "--steps", 2, "--refine", 0, "--seed", 1, "--from", "a hat", "-o")
    cli("edit", sketch, "a boat", *options, "plain.png")
    done = cli("edit", sketch, "a boat", "--method", "diffedit", *options, "named.png")
    assert done.err == ""
    first, second = recipe_in(home / "plain.png"), recipe_in(home / "named.png")
    assert isinstance(first.hold, Inferred)
    assert (first.start, first.hold, first.attention) == (second.start, second.hold, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("generate x --method prompt-to-prompt", "--method needs --from: say what is there to begin with"),
        ("generate x --from y --method diffedit", "edits a picture that is there already"),
        ("edit sketch.png x --method prompt-to-prompt", "--method needs --from"),
        ("generate x --from y --method p2p", "--method 'p2p' is unknown: accepted are diffedit, prompt-to-prompt"),
        ("generate x --from y --method prompt-to-prompt:cross=1", "did you mean 'cross_maps'?"),
        ("generate x --from y --method prompt-to-prompt:self_maps=2", "self_maps is 2.0: give a fraction"),
        ("edit sketch.png x --from y --method diffedit:draws=3", "--hold inferred has"),
        ("generate x --from y --model fashion --label 1", "reads no text"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(cli, sketch, arguments, said):
    done = cli(*arguments.split())
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
