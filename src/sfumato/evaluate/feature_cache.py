"""Features on disk: computed once for each set of pictures and each network, resumable; read as memory maps."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from sfumato.data import array_cache
from sfumato.data.sealed import read_sealed, write_sealed
from sfumato.evaluate.features import Extractor
from sfumato.evaluate.metrics import Moments
from sfumato.evaluate.pictures import Pictures, digest
from sfumato.picture import BadInput, home

CHUNK = 64


def cache() -> Path:
    """Where features of references are kept: in `$SFUMATO_HOME/cache`, or the platform's own place for caches."""
    return home() / "cache" if os.environ.get("SFUMATO_HOME") else user_cache_path("sfumato", appauthor=False)


def features_of(extract: Extractor, pictures: Pictures, folder: Path, batch: int) -> dict[str, np.ndarray]:
    """Rows of features by kind, float32 (N, D). Kept in `folder` under a hash of the network's fingerprint (weights and
    preprocessing) and of the pictures' key (listing and size); a killed run goes on where it stopped."""
    widths = extract.widths(pictures.size)
    shapes: dict[str, tuple[tuple[int, ...], type]] = {kind: ((width,), np.float32) for kind, width in widths.items()}

    def compute(spans: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for start, stop in spans:
            parts = [extract(pictures.batch(range(i, min(i + batch, stop)))) for i in range(start, stop, batch)]
            yield start, {kind: np.concatenate([part[kind].cpu().numpy() for part in parts]) for kind in shapes}

    try:
        return array_cache.arrays(folder, "features", key_of(extract, pictures), shapes, compute, len(pictures), CHUNK)
    except OSError as error:
        raise BadInput(f"features can't be kept in {folder} ({error.strerror or error}): free some space.") from error


def key_of(extract: Extractor, pictures: Pictures) -> str:
    return digest(extract.fingerprint, pictures.key)


def moments_of(rows: np.ndarray, kind: str, folder: Path) -> Moments:
    """The moments of a reference's features, kept with them."""
    path = folder / f"moments-{kind}.npz"
    data = read_sealed(path)
    if data is not None:
        with np.load(io.BytesIO(data)) as found:
            return Moments(float(found["count"]), found["mean"], found["scatter"])
    moments = Moments.of(rows)
    buffer = io.BytesIO()
    np.savez(buffer, count=moments.count, mean=moments.mean, scatter=moments.scatter)
    write_sealed(path, buffer.getvalue())
    return moments
