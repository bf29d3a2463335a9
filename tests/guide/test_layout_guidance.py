"""Words and a layout, each with a scale of its own: the closed forms of linear answers, and what is off."""

from __future__ import annotations

import pytest
import torch

from sfumato.condition import Condition, Layout, Text
from sfumato.denoise import Prediction
from sfumato.guide import ClassifierFree, Guided, LayoutGuidance, MultiScale
from sfumato.picture import BadInput
from sfumato.schedule import VPLinear

X, T = torch.zeros(1, 1, 2, 2, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)


class Sum:
    """Answers 1 + words + layout + 0.5 words layout."""

    schedule = VPLinear()

    def __init__(self):
        self.rows = []

    def __call__(self, x, t, condition) -> Prediction:
        self.rows.append(len(x))
        words = condition.get(Text).embeds[:, 0, 0][:, None, None, None].to(x)
        layout = condition.get(Layout).planes[:, :1].to(x)
        x0 = 1 + words + layout + 0.5 * words * layout
        return Prediction(x=x, x0=x0, eps=-x0, alpha=torch.tensor(0.6), sigma=torch.tensor(0.8))


def told(words: float = 2.0, layout: float = 3.0) -> Condition:
    text = Text(torch.full((1, 1, 1), words), negative=Text(torch.zeros(1, 1, 1)))
    return Condition((text, Layout(torch.full((1, 2, 2, 2), layout))))


@pytest.mark.parametrize(
    ("guidance", "expected", "rows"),
    [
        (LayoutGuidance(1, 1), 9, 1),
        (LayoutGuidance(2, 3), 1 + 3 * 3 + 2 * (9 - 4), 3),
        (LayoutGuidance(2, 1), 4 + 2 * (9 - 4), 3),  # the layout on both sides, as Make-A-Scene guides
        (MultiScale(2, 3), 1 + 2 * 2 + 3 * 3, 4),
        (MultiScale(0, 1), 4, 4),  # the layout alone
    ],
)
def test_closed_forms(guidance, expected, rows):
    network = Sum()
    found = Guided(network, [guidance])(X, T, told())
    torch.testing.assert_close(found.x0, torch.full_like(X, expected))
    torch.testing.assert_close(found.eps, -found.x0)
    assert network.rows == [rows]


def test_equal_scales_are_classifier_free_guidance_of_both():
    both = Guided(Sum(), [LayoutGuidance(4, 4)])(X, T, told())
    torch.testing.assert_close(both.x0, Guided(Sum(), [ClassifierFree(4)])(X, T, told()).x0)


def test_what_guidances_before_did_is_kept():
    twice = Guided(Sum(), [ClassifierFree(2.0), MultiScale(2, 3)])(X, T, told())
    torch.testing.assert_close(twice.x0, torch.full_like(X, 14 + (9 - 1)))


def test_models_without_a_layout_are_refused():
    condition = Condition((told().parts[0],))
    for guidance in (LayoutGuidance(), MultiScale()):
        with pytest.raises(BadInput, match="this one sees none"):
            Guided(Sum(), [guidance])(X, T, condition)
