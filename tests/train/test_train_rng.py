"""Randomness as a function of (seed, step)."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.train import rng


@given(st.integers(1, 40), st.integers(1, 17), st.integers(0, 5))
def test_batches_show_every_example_once_an_epoch(n, size, seed):
    epochs = 3
    count = -(-epochs * n // size)
    stream = np.concatenate([rng.batch(seed, k, size, n) for k in range(count)])
    for epoch in range(epochs):
        assert sorted(stream[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_epochs_and_seeds_differ_and_repeat():
    one = rng.permutation(0, 0, 100)
    assert not np.array_equal(one, rng.permutation(0, 1, 100))
    assert not np.array_equal(one, rng.permutation(1, 0, 100))
    rng.permutation.cache_clear()
    assert np.array_equal(one, rng.permutation(0, 0, 100))


def test_keys_depend_on_every_part_and_never_change():
    assert rng.key(0, "noise", 1) == rng.key(0, "noise", 1)
    assert len({rng.key(a, b) for a in range(30) for b in range(30)}) == 900
    assert rng.key(7, "step", 3) == 365175719230151385
    drawn = torch.randn(2, generator=rng.generator(1, 2))
    assert torch.equal(drawn, torch.randn(2, generator=rng.generator(1, 2)))


def test_choices_are_even():
    counts = np.bincount([rng.choice(5, "caption", i) for i in range(5000)], minlength=5)
    assert counts.min() > 900
