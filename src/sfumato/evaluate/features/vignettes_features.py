"""`vignettes-features`: what the judge of attributes sees in a picture. Built in, nothing to download."""

from __future__ import annotations

from pathlib import Path

from sfumato.evaluate.features.extractor import FEATURES, FOLDERS, LOGITS, POOL, SPATIAL, Extractor, Rows, fingerprint
from sfumato.lazy import Tensor

CHANNELS = 7
CLASSES = "subject"  # the attribute that the Inception Score is taken over
PREPROCESSING = "64 x 64, by area where a picture shrinks, bilinear where it grows; [-1, 1]"


def load_vignettes_features(name: str, weights: str | None) -> Extractor:
    """The judge of `sfumato.evaluate.judge`, the built-in one or that of a folder.

    pool: its trunk's last map averaged over the picture (160), which every attribute is read from. logits: of the
    picture's subject. spatial: the first 7 channels of that map, 8 x 8, as sFID takes Inception's.
    """
    from sfumato.evaluate.judge import JUDGE, Judge, resized

    judge = Judge.load(Path(weights) if weights else JUDGE)

    def read(pictures: Tensor) -> Rows:
        map_ = judge.trunk(resized(pictures))
        logits = judge.read(map_)[list(judge.attributes).index(CLASSES)]
        return {POOL: map_.mean((2, 3)), LOGITS: logits, SPATIAL: map_[:, :CHANNELS].flatten(1)}

    return Extractor(name, PREPROCESSING, read, fingerprint(judge, PREPROCESSING))


FEATURES.add("vignettes-features", load_vignettes_features)
FOLDERS.add("sfumato-judge", load_vignettes_features)
