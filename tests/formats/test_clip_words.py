"""CLIP's vocabulary from a package that is installed: the layout of OpenAI's file, on a list of merges of our own."""

from __future__ import annotations

import gzip
import json
from itertools import islice, product
from pathlib import Path

import pytest
from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from sfumato.formats.clip_words import MERGES, installed_merges, write_words
from sfumato.formats.single_words import lay_words

OWN = ["t h", "th e</w>", "c a", "ca t</w>"]


def merges() -> list[str]:
    """As many merges as CLIP has, the first of which make "the" and "cat"."""
    letters = list(bytes_to_unicode().values())
    others = (f"{a} {b}" for a, b in product(letters[100:], letters) if not (a + b).isascii())
    return [
        *OWN,
        *islice(others, 30_000),
        *(f"{a} {b}</w>" for a, b in islice(product(letters[100:], letters), 18_890)),
    ]


@pytest.fixture
def package(tmp_path: Path, monkeypatch) -> Path:
    """A package `clip` with the list, which can't be imported."""
    found = tmp_path / "site" / "clip"
    found.mkdir(parents=True)
    (found / "__init__.py").write_text("raise ImportError('it needs what is not here')")
    with gzip.open(found / "bpe_simple_vocab_16e6.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(["#version: 0.2", *merges(), "beyond the", "vocabulary of"]))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr("sfumato.formats.clip_words.PACKAGES", ("clip",))
    monkeypatch.setattr("sfumato.formats.single_words._cached", lambda name: [])
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    return found


def test_a_file_without_words_is_read_with_those_of_an_installed_package(package, tmp_path) -> None:
    lay_words(tmp_path / "tokenizer", "tokenizer", tmp_path / "model.safetensors", "<|endoftext|>")
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    ids = tokenizer("The cat at").input_ids
    words = json.loads((tmp_path / "tokenizer" / "vocab.json").read_text())
    assert (len(words), words["<|startoftext|>"], words["<|endoftext|>"]) == (49408, 49406, 49407)
    assert ids[:3] == [49406, 512 + 1, 512 + 3]  # 256 bytes, 256 that end a word, then the merges in their order
    letters = list(bytes_to_unicode().values())
    assert ids[3:] == [letters.index("a"), 256 + letters.index("t"), 49407]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:1000], lambda data: b"no gzip", lambda data: gzip.compress(b"a b\n")]
)
def test_a_list_that_is_damaged_or_short_is_none(package, damage) -> None:
    file = package / "bpe_simple_vocab_16e6.txt.gz"
    assert len(installed_merges() or ()) == MERGES
    file.write_bytes(damage(file.read_bytes()))
    assert installed_merges() is None


def test_what_lies_beside_the_file_goes_first(package, tmp_path) -> None:
    (tmp_path / "tokenizer").mkdir()
    write_words(tmp_path / "tokenizer", OWN)
    lay_words(tmp_path / "laid", "tokenizer", tmp_path / "model.safetensors", "!")
    assert len(json.loads((tmp_path / "laid" / "vocab.json").read_text())) == 512 + len(OWN) + 2
