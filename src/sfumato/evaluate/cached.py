"""Features on disk: computed once for each set of pictures and each network, resumable; read as memory maps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from sfumato.evaluate.features import Extractor
from sfumato.evaluate.metrics import Moments
from sfumato.evaluate.pictures import Pictures, digest
from sfumato.picture import BadInput, home

CHUNK = 64


def cache() -> Path:
    """Where features of references are kept: in `$SFUMATO_HOME/cache`, or the platform's own place for caches."""
    return home() / "cache" if os.environ.get("SFUMATO_HOME") else user_cache_path("sfumato", appauthor=False)


def features_of(extract: Extractor, of: Pictures, where: Path, batch: int) -> dict[str, np.ndarray]:
    """Rows of features by kind, float32 (N, D). Kept in `where` under a hash of the network's fingerprint (weights and
    preprocessing) and of the pictures' key (listing and size); a killed run goes on where it stopped."""
    from sfumato.data import array_cache as kept

    widths = extract.widths(of.size)
    shapes: dict[str, tuple[tuple[int, ...], type]] = {kind: ((width,), np.float32) for kind, width in widths.items()}

    def compute(spans: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for start, stop in spans:
            parts = [extract(of.batch(range(i, min(i + batch, stop)))) for i in range(start, stop, batch)]
            yield start, {kind: np.concatenate([part[kind].cpu().numpy() for part in parts]) for kind in shapes}

    try:
        return kept.arrays(where, "features", key_of(extract, of), shapes, compute, len(of), CHUNK)
    except OSError as error:
        raise BadInput(f"features can't be kept in {where} ({error.strerror or error}): free some space.") from error


def key_of(extract: Extractor, of: Pictures) -> str:
    return digest(extract.fingerprint, of.key)


def moments_of(rows: np.ndarray, kind: str, folder: Path) -> Moments:
    """The moments of a reference's features, kept beside them."""
    path = folder / f"moments-{kind}.npz"
    if path.is_file():
        with np.load(path) as found:
            return Moments(float(found["count"]), found["mean"], found["scatter"])
    moments = Moments.of(rows)
    part = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez(part, count=moments.count, mean=moments.mean, scatter=moments.scatter)
    os.replace(part, path)
    return moments
