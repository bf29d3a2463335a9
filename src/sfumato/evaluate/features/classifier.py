"""Features of a classifier of clean pictures that `sfumato train` made: a data set's own Inception."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as nf
from torch import Tensor

from sfumato.evaluate.features.extractor import LOGITS, POOL, SPATIAL, Extractor, Rows, fingerprint
from sfumato.network.classifier import Classifier
from sfumato.space import Pixel

CHANNELS = 7


def load(name: str, where: str | None) -> Extractor:
    """The classifier in the folder `where`. pool: what its logits are read from, the last map averaged over the
    picture. logits: those of its classes. spatial: the first 7 channels of that map, as sFID takes Inception's."""
    network = Classifier.load(Path(where or name))
    grey = network.config["channels"] == 1
    said = f"as they are, {'the luma' if grey else 'RGB'} in [-1, 1]"
    space = Pixel(network.config["channels"])
    last: list[Tensor] = []
    network.norm.register_forward_hook(lambda module, given, answer: last.append(nf.silu(answer)))

    def read(pictures: Tensor) -> Rows:
        pool = network.features(space.encode(pictures), torch.tensor(0.0))
        return {POOL: pool, LOGITS: network.head(pool), SPATIAL: last.pop()[:, :CHANNELS].flatten(1)}

    return Extractor(name, said, read, fingerprint(network, said))
