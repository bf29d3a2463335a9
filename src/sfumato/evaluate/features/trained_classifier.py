"""Features of a classifier of clean pictures that `sfumato train` made: a data set's own Inception."""

from __future__ import annotations

from pathlib import Path

from sfumato.evaluate.features.extractor import FOLDERS, LOGITS, POOL, SPATIAL, Extractor, Rows, fingerprint
from sfumato.lazy import Tensor, torch

CHANNELS = 7


def load_classifier(name: str, weights: str | None) -> Extractor:
    """The classifier in the folder `weights`. pool: what its logits are read from, the last map averaged over the
    picture. logits: those of its classes. spatial: the first 7 channels of that map, as sFID takes Inception's."""
    from sfumato.network.classifier import Classifier
    from sfumato.space import Pixel

    network = Classifier.load(Path(weights or name))
    grey = network.config["channels"] == 1
    preprocessing = f"as they are, {'the luma' if grey else 'RGB'} in [-1, 1]"
    space = Pixel(network.config["channels"])
    last: list[Tensor] = []
    network.norm.register_forward_hook(lambda module, inputs, output: last.append(torch.nn.functional.silu(output)))

    def read(pictures: Tensor) -> Rows:
        pool = network.features(space.encode(pictures), torch.tensor(0.0))
        return {POOL: pool, LOGITS: network.head(pool), SPATIAL: last.pop()[:, :CHANNELS].flatten(1)}

    return Extractor(name, preprocessing, read, fingerprint(network, preprocessing))


FOLDERS.add("sfumato-classifier", load_classifier)
