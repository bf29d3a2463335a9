"""What a model forgets of all else while it is taught one thing (catastrophic forgetting, McCloskey and Cohen 1989).

| figure | what it is |
|---|---|
| kept | mean cosine of each picture with the one that the model painted of the same words and seed before |
| base | mean cosine of those pictures with their prompts (CLIP-T), where the features read texts |
| base before | the same of the model as it was |

The prompts are of other things than the subject and its class. kept is 1 where nothing changed; a picture may change
and do as well, which base tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sfumato.evaluate.features.extractor import Extractor
from sfumato.evaluate.statistics import Figure, mean
from sfumato.evaluate.subject_fidelity import cosines, rows_of

if TYPE_CHECKING:
    from PIL import Image


def forgetting(
    before: Sequence[Image.Image],
    after: Sequence[Image.Image],
    prompts: Sequence[str],
    extract: Extractor,
    reads: Extractor | None = None,
) -> dict[str, Figure]:
    """The figures of pictures of the same prompts and seeds, one each. reads: the features that read texts, where
    `extract` has none."""
    old, new = rows_of(extract, before), rows_of(extract, after)
    figures = {"kept": mean(np.diag(cosines(old, new)))}
    reads = extract if extract.words is not None else reads
    if reads is not None and reads.words is not None:
        texts = reads.words(list(prompts)).float().numpy()
        for name, pictures in (("base", after), ("base before", before)):
            figures[name] = mean(np.diag(cosines(rows_of(reads, pictures), texts)))
    return figures
