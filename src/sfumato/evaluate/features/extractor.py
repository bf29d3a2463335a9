"""What every feature network is: a name, a declared preprocessing, and rows of features for a batch of pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sfumato.element import Registry
from sfumato.lazy import Tensor, torch

POOL, LOGITS, SPATIAL = "pool", "logits", "spatial"
Rows = dict[str, Tensor]


@dataclass(frozen=True)
class Extractor:
    """Features by kind: "pool" (B, D), and where the network has them "logits" (B, classes) and "spatial" (B, S).

    name: what is printed beside every number. preprocessing: what is done to a picture before the network sees it, in
    words. read: pictures (B, 3, H, W) in [-1, 1] of any size -> rows.
    words: texts -> embeddings (B, D) that can be compared with "pool", where the network reads texts.
    fingerprint: 16 hexadecimal digits of the weights and the preprocessing; features of one fingerprint are
    comparable, those of two never are.
    """

    name: str
    preprocessing: str
    read: Callable[[Tensor], Rows]
    fingerprint: str
    words: Callable[[Sequence[str]], Tensor] | None = None

    def __call__(self, pictures: Tensor) -> Rows:
        with torch.no_grad():
            return {kind: rows.float() for kind, rows in self.read(pictures).items()}

    def widths(self, size: tuple[int, int]) -> dict[str, int]:
        """The kinds and their numbers of columns, for pictures of (width, height)."""
        return {kind: rows.shape[1] for kind, rows in self(torch.zeros(1, 3, size[1], size[0])).items()}


Load = Callable[[str, "str | None"], Extractor]
"""load(name, weights): the extractor that is called `name`, with weights from a file, folder or Hub id if given."""

FEATURES: Registry[Load] = Registry("set of features", "sfumato.evaluate.features")
"""By the names that a user gives."""

FOLDERS: Registry[Load] = Registry("folder of features", "sfumato.evaluate.features")
"""By what a folder's config.json says that it holds."""


def fingerprint(network: torch.nn.Module, preprocessing: str) -> str:
    """The SHA-256 of the preprocessing's words and of every weight, 16 digits of it."""
    digest = hashlib.sha256(preprocessing.encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
