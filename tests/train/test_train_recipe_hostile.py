"""Recipes made to be slow or to fill the memory are refused at once, in a sentence."""

from __future__ import annotations

import time

import pytest

from sfumato.picture import BadInput
from sfumato.train import recipe as r

LAUGHS = "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"task: judge\n{LAUGHS}", r"aliases \(\*name\) are not accepted"),
        ("task: judge\nsteps: &n 3\nbatch: *n", r"aliases \(\*name\) are not accepted"),
        ("task: judge\nx: " + "[" * 100_000, "levels of brackets"),
        ("task: judge\nx: " + "{a: " * 100_000, "levels of brackets"),
        ("task: judge\n" + "".join(" " * i + "k:\n" for i in range(200)), "levels of brackets"),
        ("task: judge\nsteps: 1" + "0" * 6000, "more than 20 digits"),
        ("task: judge\nsteps: " + "1:" * 5000 + "1", "more than 20 digits"),
        ("task: judge\nsteps: " + "1:" * 5000 + "1.5", "is not valid YAML"),
        ("task: judge\nsteps: 0x" + "f" * 5000, "more than 20 digits"),
        ("task: judge\nsteps: 10000000000000", "steps: input should be less than or equal to"),
        ("task: judge\ndata: {count: 4000000000}", "data.count: input should be less than or equal to"),
        ("task: autoencoder\nnetwork: {layers: 10000000}", "network.layers: input should be less than"),
        ("task: autoencoder\nnetwork: {channels: [16000000]}", "network.channels.0: input should be less than"),
        ("task: points\nnetwork: {depth: 10000000}", "network.depth: input should be less than"),
        ("task: pixels\nobjective: {table: 1000000000}", "objective.table: input should be less than"),
        ("task: judge\nname: " + "a" * 5000, "name: string should have at most"),
        ("task: judge\nsteps: 2026-99-99", "is not valid YAML"),
        ("task: judge\n? [a]\n: 3", "is not valid YAML"),
        ("task: judge # " + "x" * 1_000_001, "a recipe at most 1,000,000"),
    ],
    ids=range(19),
)
def test_it_is_refused_quickly_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(BadInput, match=said) as caught:
        r.load(path)
    assert time.monotonic() - began < 5
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_an_override_is_no_way_around(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("task: judge")
    for value in ("[&a x, *a]", "[" * 10_000, "9" * 5000):
        with pytest.raises(BadInput, match="is not valid YAML") as caught:
            r.load(path, [f"steps={value}"])
        assert "\n" not in str(caught.value)
