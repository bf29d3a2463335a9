"""`vignettes-features`: what the judge of attributes sees in a picture. Built in, nothing to download."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from sfumato.evaluate.features.extractor import LOGITS, POOL, SPATIAL, Extractor, Rows, fingerprint
from sfumato.evaluate.judge import JUDGE, Judge, resized

CHANNELS = 7
CLASSES = "subject"  # the attribute that the Inception Score is taken over
SAID = "64 x 64, by area where a picture shrinks, bilinear where it grows; [-1, 1]"


def load(name: str, where: str | None) -> Extractor:
    """The judge of `sfumato.evaluate.judge`, the built-in one or that of a folder.

    pool: its trunk's last map averaged over the picture (160), which every attribute is read from. logits: of the
    picture's subject. spatial: the first 7 channels of that map, 8 x 8, as sFID takes Inception's.
    """
    judge = Judge.load(Path(where) if where else JUDGE)

    def read(pictures: Tensor) -> Rows:
        map_ = judge.trunk(resized(pictures))
        logits = judge.read(map_)[list(judge.attributes).index(CLASSES)]
        return {POOL: map_.mean((2, 3)), LOGITS: logits, SPATIAL: map_[:, :CHANNELS].flatten(1)}

    return Extractor(
        name=name,
        preprocessing=SAID,
        read=read,
        fingerprint=fingerprint(judge, SAID),
    )
