"""The vocabularies that single files lack: where CLIP's and T5's are looked for, and how they are framed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from sfumato.formats.clip_words import MARKS, installed_merges, write_words
from sfumato.formats.gguf_text import save_vocabulary
from sfumato.formats.write import write_json
from sfumato.picture import home

CLIP_WORDS = (("vocab.json", "merges.txt"), ("tokenizer.json",))
OWN_CLIP, OWN_T5 = "openai/clip-vit-large-patch14", "google/t5-v1_1-xxl"
T5_WORDS = (("spiece.model",), ("tokenizer.json",))
"""The files of a vocabulary, in either form in which transformers writes it."""


def lay_words(folder: Path, part: str, path: Path, pad: str | None, encoder: Path | None = None) -> None:
    """Copies a vocabulary, where it is found. T5's is in the .gguf of its `encoder` too; CLIP's, if it lies nowhere, is
    taken from a package that is installed, and framed as every CLIP frames its texts."""
    wanted = CLIP_WORDS if pad is not None else T5_WORDS
    found = ((each, files) for each in _words(path, part, pad is not None) for files in wanted if _holds(each, files))
    source, files = next(found, (None, ()))
    merges = installed_merges() if source is None and pad is not None else None
    if source is not None:
        folder.mkdir()
        for name in files:
            shutil.copyfile(source / name, folder / name)
    elif merges is not None:
        folder.mkdir()
        write_words(folder, merges)
    elif pad is None and encoder is not None and encoder.suffix.lower() == ".gguf":
        save_vocabulary(encoder, folder)
        return
    else:
        return
    if pad is None:
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "T5TokenizerFast", "model_max_length": 512})
        return
    first, last = MARKS
    marks = {"bos_token": first, "eos_token": last, "unk_token": last, "pad_token": pad}
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **marks})


def _holds(folder: Path, names: Iterable[str]) -> bool:
    return all((folder / name).is_file() for name in names)


def own_words(clip: bool = True) -> Path:
    """The folder for a user's own copy of a vocabulary."""
    return home() / "tokenizers" / ("clip" if clip else "t5")


def _words(path: Path, part: str, clip: bool) -> list[Path]:
    """The folders that may hold a vocabulary, nearest first."""
    beside = [path.with_suffix("") / part, path.parent / part, *([path.parent / "tokenizer"] if clip else [])]
    return [*beside, *_cached(OWN_CLIP if clip else OWN_T5), own_words(clip)]


def _cached(name: str) -> list[Path]:
    from huggingface_hub import try_to_load_from_cache

    found = [try_to_load_from_cache(name, file) for files in (*CLIP_WORDS, *T5_WORDS) for file in files]
    return list(dict.fromkeys(Path(path).parent for path in found if isinstance(path, str)))
