"""InfoNCE, both ways, equal captions as one, and never colder than CLIP's own bound."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from sfumato.train.tasks.clip import ClipTask, info_nce


def vectors(n: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.double), dim=-1)


def by_hand(image: torch.Tensor, text: torch.Tensor, scale: float, groups: list[int]) -> float:
    """-log p summed over the equal pairs: of the pictures given each text, and of the texts given each picture."""
    total, n = 0.0, len(groups)
    for a, b in ((text, image), (image, text)):
        for i in range(n):
            p = torch.softmax(scale * b @ a[i], 0)
            equal = [j for j in range(n) if groups[j] == groups[i]]
            total -= sum(float(p[j].log()) for j in equal) / len(equal) / n / 2
    return total


@pytest.mark.parametrize("groups", [[0, 1, 2, 3], [0, 1, 0, 2], [0, 0, 0, 1]])
def test_it_is_the_cross_entropy_both_ways_with_equal_captions_sharing_the_target(groups):
    image, text = vectors(4, 0), vectors(4, 1)
    same = torch.tensor(groups)[:, None] == torch.tensor(groups)[None]
    assert float(info_nce(image, text, torch.tensor(3.0), same)) == pytest.approx(by_hand(image, text, 3.0, groups))


def test_the_task_knows_equal_captions_and_gets_no_colder_than_a_hundred():
    ids = torch.tensor([[1, 2, 9], [1, 3, 9], [1, 2, 9]])
    image, text = vectors(3, 0), vectors(3, 1)
    task = SimpleNamespace(
        recipe=SimpleNamespace(paraphrases=1, seed=0),
        place=SimpleNamespace(device="cpu"),
        ids=ids[:, None],
        train_set=SimpleNamespace(batch=lambda indices: indices),
        embed=lambda pictures, ids: (image, text),
        network=SimpleNamespace(logit_scale=nn.Parameter(torch.tensor(9.0, dtype=torch.double))),
    )
    loss, told = ClipTask.forward(task, np.arange(3), 0, torch.Generator())  # type: ignore[arg-type]
    assert float(told["scale"]) == pytest.approx(100, rel=1e-4)
    assert float(loss.detach()) == pytest.approx(by_hand(image, text, float(told["scale"]), [0, 1, 0]))
