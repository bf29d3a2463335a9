"""Prompts joined by AND: how they are read, and what their answers are joined to."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.condition import Condition, Text
from sfumato.denoise import Gaussian, Prediction
from sfumato.guide import AutoGuided, ClassifierFree, Guided, PerturbedAttention
from sfumato.picture import BadInput
from sfumato.recipe.prompt import check_single, literal, parse
from sfumato.recipe.prompt.conjunction import conjuncts
from sfumato.schedule import VPLinear

SCHEDULE = VPLinear()
WORDS = st.text("ab (,", min_size=1).map(str.strip).filter(bool)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", [("a cat", 1)]),
        ("a cat :1.2", [("a cat :1.2", 1)]),
        ("a cat AND a dog", [("a cat", 1), ("a dog", 1)]),
        ("a cat :1.2 AND a dog AND a penguin :2.2", [("a cat", 1.2), ("a dog", 1), ("a penguin", 2.2)]),
        ("a cat AND\na dog:-.5 ", [("a cat", 1), ("a dog", -0.5)]),
        ("a (cat:1.2) AND a dog: at rest", [("a (cat:1.2)", 1), ("a dog: at rest", 1)]),
        ("a cat AND", [("a cat", 1), ("", 1)]),
        ("SAND and BANDS", [("SAND and BANDS", 1)]),
        (r"a cat A\ND a dog", [(r"a cat A\ND a dog", 1)]),
    ],
)
def test_a1111_s_documented_examples_and_their_neighbours(prompt, expected):
    assert conjuncts(prompt) == expected


@given(st.lists(st.tuples(WORDS, st.integers(-90, 90)), min_size=2, max_size=16))
def test_what_is_joined_comes_apart(parts):
    assert conjuncts(" AND ".join(f"{text} :{weight}" for text, weight in parts)) == [(t, float(w)) for t, w in parts]


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=30))
def test_a_literal_text_is_one_prompt(text):
    assert len(conjuncts(literal(text + " AND BREAK"))) == 1
    [part] = parse(literal(text + " AND BREAK"))
    assert "".join(words for words, _ in part) == text + " AND BREAK"


def test_refusals():
    with pytest.raises(BadInput, match="joins 17 prompts by AND: join at most 16"):
        conjuncts(" AND ".join("a" * 17))
    with pytest.raises(BadInput, match="the weight 101"):
        conjuncts("a :101 AND b")
    with pytest.raises(BadInput, match="joins prompts by AND, and that can't be: give one prompt"):
        check_single(["a", "b AND c"], "that can't be")


class Told:
    """A denoiser of a Gaussian whose mean is what the text's embedding says."""

    schedule = SCHEDULE

    def __init__(self):
        self.rows = []

    def __call__(self, x, t, condition) -> Prediction:
        text = condition.get(Text)
        assert not text.others
        self.rows.append(len(x))
        outs = [
            Gaussian(SCHEDULE, mean, 0.5)(row[None], t) for row, mean in zip(x, text.embeds[:, 0].double(), strict=True)
        ]
        whole = {name: torch.cat([getattr(out, name) for out in outs]) for name in ("x", "x0", "eps")}
        return Prediction(**whole, alpha=outs[0].alpha, sigma=outs[0].sigma)


def text(*means: tuple[float, float], **others) -> Text:
    return Text(torch.tensor(means)[:, None], **others)


@pytest.fixture
def condition() -> Condition:
    """Two rows: the second is joined with another text of no weight."""
    nothing = text((0.0, 0.0))
    second, third = text((0.0, 2.0), (5.0, 5.0)), text((-1.0, 0.5), (7.0, 7.0))
    shares = torch.tensor([[1.0, 1.0, 0.5], [1.0, 0.0, 0.0]])
    return Condition((text((1.0, 0.0), (3.0, 1.0), negative=nothing, others=(second, third), shares=shares),))


X = torch.tensor([[0.3, -0.2], [1.0, 1.5]], dtype=torch.float64)
T = torch.tensor(0.6, dtype=torch.float64)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_joined_gaussians_are_the_gaussian_of_their_scores(condition, scale):
    """With one covariance the scores of N(m_i) joined around that of N(0) are the score of N(s sum w_i m_i)."""
    network = Told()
    found = Guided(network, [ClassifierFree(scale)])(X, T, condition)
    assert network.rows == [8]  # three texts and the unconditional one, shared with the guidance
    means = scale * torch.tensor([[0.5, 2.25], [3.0, 1.0]], dtype=torch.float64)
    for row, mean in enumerate(means):
        true = Gaussian(SCHEDULE, mean, 0.5)(X[row : row + 1], T)
        torch.testing.assert_close(found.x0[row : row + 1], true.x0)
        torch.testing.assert_close(found.eps[row : row + 1], true.eps)
    torch.testing.assert_close(found.alpha * found.x0 + found.sigma * found.eps, X)


def test_every_guidance_sees_what_is_joined(condition):
    network, worse = Told(), Told()
    plain = Guided(Told(), [])(X, T, condition)
    perturbed = Guided(network, [PerturbedAttention(2.0)])(X, T, condition)
    torch.testing.assert_close(perturbed.x0, plain.x0)  # the oracle has no attention: perturbed, it answers the same
    assert network.rows == [14]
    bad = Guided(network, [AutoGuided(Guided(worse, ()), 2.0)])(X, T, condition)
    torch.testing.assert_close(bad.x0, plain.x0)


def test_rows_are_taken_with_all_of_their_texts(condition):
    plain = Guided(Told(), [])(X, T, condition)
    one = Guided(Told(), [])(X[1:], T, condition.select([1]).to(torch.float64))
    torch.testing.assert_close(one.x0, plain.x0[1:])
    with pytest.raises(ValueError, match="take them apart first"):
        Condition.cat([condition, condition])
