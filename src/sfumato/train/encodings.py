"""What the U-Net is trained on: latents of pictures and hidden states of captions, each computed once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.data import array_cache
from sfumato.data.array_cache import digest
from sfumato.data.dataset import Dataset
from sfumato.network.autoencoder_kl import ENCODER
from sfumato.network.clip_text_model import CLIP_TEXT
from sfumato.network.engine import Eager
from sfumato.picture import BadInput
from sfumato.train.task import Place
from sfumato.train.tokens import encode
from sfumato.zoo.find import here


def part(path: Path, name: str, made_by: str) -> Path:
    """The folder of the trained part `name` (vae, text_encoder, ...): `path`, or inside `path` or a built-in model."""
    built_in = here(path) or path
    for folder in (path / name, path, built_in / name, built_in):
        if (folder / "config.json").is_file() or (folder / "tokenizer_config.json").is_file():
            return folder
    if path.name == "export" and (Path(__file__).parent / "recipes" / f"{path.parent.name}.yaml").is_file():
        made_by = path.parent.name  # a run is called as its recipe
    raise BadInput(f"there is no {name} in {path}: train it first with 'sfumato train {made_by}', or name its folder")


def frozen(kind: Any, folder: Path, place: Place) -> Any:
    """The trained network of that class in a part's folder, in float32, as it is used and not trained."""
    return kind.from_pretrained(folder, dtype=torch.float32).to(place.device).eval().requires_grad_(False)


def fingerprint(folder: Path) -> str:
    """A hash of a part's files."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:16]


def encoded(
    place: Place,
    title: str,
    name: str,
    of: Sequence[object],
    encode: Callable[[int, int], Tensor],
    count: int,
    chunk: int,
) -> np.ndarray:
    """What encode(start, stop) answers of `count` examples, as float16: computed once and kept, the array `name`. `of`
    says what it depends on besides the number type that it is computed in."""

    def rows(start: int, stop: int) -> np.ndarray:
        with torch.no_grad(), place.autocast():
            return encode(start, stop).float().cpu().numpy().astype(np.float16)

    def compute(spans: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for start, stop in spans:
            yield start, {name: rows(start, stop)}

    shape = {name: (rows(0, 1).shape[1:], np.float16)}
    return array_cache.arrays(place.cache, title, digest(*of, place.low), shape, compute, count, chunk)[name]


def latents(source: Dataset, network: Any, folder: Path, place: Place) -> np.ndarray:
    """Means of q(z|x), float16 (n, C, h, w), not yet multiplied by scaling_factor."""
    encoder, of = Eager().prepare(network, ENCODER), (source.key, fingerprint(folder))

    def encode(start: int, stop: int) -> Tensor:
        return encoder(pictures=source.batch(np.arange(start, stop)).to(place.device))

    return encoded(place, "latents", "latents", of, encode, len(source), 128)


class Captions:
    """Hidden states of every different caption, float16 (U, L, W), row 0 being the empty prompt's."""

    def __init__(
        self, captions: list[list[str]], paraphrases: int, encoder: Any, tokenizer: Any, key: str, place: Place
    ):
        said = [[c[k % len(c)] for k in range(paraphrases)] for c in captions]
        texts = list(dict.fromkeys(["", *(text for row in said for text in row)]))
        number = {text: i for i, text in enumerate(texts)}
        self.rows = np.array([[number[text] for text in row] for row in said])
        self.encoder, self.tokenizer = Eager().prepare(encoder, CLIP_TEXT), tokenizer
        words = lambda start, stop: self.encode(texts[start:stop])  # noqa: E731
        self.hidden = encoded(place, "captions", "hidden", (key, texts), words, len(texts), 256)

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Tensor:
        """The last hidden state after the encoder's final layer norm, (B, L, W): what stock pipelines feed."""
        return self.encoder(ids=encode(self.tokenizer, texts))

    def batch(self, indices: np.ndarray, which: list[int], dropped: Tensor) -> Tensor:
        """Hidden states of paraphrase `which[i]` of picture `indices[i]`, the empty prompt's where dropped."""
        rows = np.where(dropped.numpy(), 0, self.rows[indices, which])
        return torch.from_numpy(self.hidden[rows]).float()
