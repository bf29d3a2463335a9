"""Rare words with a weak prior: which tokens are asked, and that those which mean something come last."""

from __future__ import annotations

import pytest

import sfumato
from sfumato.cli.app import run_command
from sfumato.picture import BadInput
from sfumato.train.identifier import Identifier, identifiers, rare_words, tokenizer_of


class Spelled:
    """A tokenizer of a few words, in the order of their frequency; "lon" is a word of two tokens."""

    marked = ("of</w>", "in</w>", "boat</w>", "sk", "lon</w>", "red</w>", "ab3</w>", "zw</w>", "ucc</w>", "pll</w>")

    def get_vocab(self):
        return {token: i for i, token in enumerate(self.marked)}

    def __call__(self, word, add_special_tokens):
        assert not add_special_tokens
        vocabulary, word = self.get_vocab(), word.strip()
        return type("Ids", (), {"input_ids": [3, 1] if word == "lon" else [vocabulary[f"{word}</w>"]]})


def test_words_are_short_whole_and_of_the_rarer_half():
    assert rare_words(Spelled(), 3) == [("pll", 9), ("ucc", 8), ("zw", 7)]
    assert rare_words(Spelled(), 2) == [("pll", 9), ("zw", 7)]
    assert "lon" not in dict(rare_words(Spelled(), 12))


def test_a_word_that_means_nothing_comes_before_colours(monkeypatch):
    """Of the miniature, whose whole world is known: "red" changes the picture of a boat, a word it never read less."""
    pipe = sfumato.load("mini", precision="float32")
    tokens = tokenizer_of(pipe.stage.encoders)
    some = [(word, tokens(word, add_special_tokens=False).input_ids[0]) for word in ("red", "et")]
    monkeypatch.setattr("sfumato.train.identifier.rare_words", lambda *_: some)
    found = identifiers(pipe, "boat")
    assert found[-1].word == "red"
    assert found[-1].change > 2 * found[0].change
    assert found == identifiers(pipe, "boat")


def test_as_auto_asks_once_and_says_what_it_found(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("sfumato.train.run", lambda name, **options: asked.append(options["overrides"]))
    monkeypatch.setattr(
        "sfumato.train.identifier.identifiers",
        lambda pipe, kind: [Identifier("zw", 7, 0.2, 0.004), Identifier("red", 5, 0.4, 0.31)],
    )
    line = ["personalize", str(tmp_path), "--as", "auto", "--class", "boat", "-o", str(tmp_path / "run")]
    assert run_command(line) == 0
    assert 'subject="zw boat"' in asked[0]
    told = capsys.readouterr().err
    assert "'zw' changes what is painted by 0.4 % of what boat does, others by more: red 31.0 %" in told
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("subject: ucc boat")
    assert run_command(line) == 0
    assert 'subject="ucc boat"' in asked[1], "a run that goes on keeps its word"


def test_a_model_without_such_tokens_is_said(monkeypatch):
    monkeypatch.setattr("sfumato.train.identifier.rare_words", lambda *_: [])
    with pytest.raises(BadInput, match="no rare short token is in the vocabulary of mini: say a word"):
        identifiers(sfumato.load("mini", precision="float32"), "boat")
