"""sfumato look-attention: a tile a word."""

from __future__ import annotations

import json

from PIL import Image


def test_a_tile_a_word_of_a_made_picture(cli, model, home):
    done = cli("look-attention", "a red boat", "--model", model, "--steps", 1, "--seed", 4, "--json")
    told = json.loads(done.out)
    assert (told["words"], told["seed"]) == (["a", "red", "boat"], 4)
    assert Image.open(told["path"]).size == (4 * 128, 128 + 16)


def test_and_of_a_given_one(cli, model, sketch, home):
    done = cli("look-attention", "a boat", "--picture", sketch, "--at", 0.3, "--model", model, "-o", "seen.png")
    assert (done.status, done.out) == (0, "seen.png\n")
    assert Image.open("seen.png").size == (3 * 128, 128 + 16)


def test_nothing_to_look_for(cli, model, home):
    done = cli("look-attention", "...", "--model", model)
    assert (done.status, done.err) == (2, "sfumato: The prompt has no words that could look anywhere: give one.\n")
