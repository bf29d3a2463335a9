"""What each guidance costs, counted, against the table of `sfumato.guide`; and the three ways to write one formula."""

import pytest
import torch

from sfumato import guide
from sfumato.condition import Condition, Label
from sfumato.denoise import GaussianMixture
from sfumato.guide import (
    ClassifierFree,
    ClassifierGradient,
    CleanClip,
    ClipGradient,
    DynamicThreshold,
    Gradient,
    Guided,
    MixtureClassifier,
    NoisedClip,
    StaticThreshold,
)
from sfumato.schedule import VPLinear

SCHEDULE = VPLinear()
CONDITION = Condition((Label(torch.tensor([0, 1, 0]), none=9),))
T = torch.tensor(0.5, dtype=torch.float64)
X = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))


class Counting(GaussianMixture):
    """Rows of every call, and the passes back through it."""

    def __init__(self):
        means = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(1))
        super().__init__(SCHEDULE, means, 0.2, labels=torch.tensor([0, 1]))
        self.rows, self.back = [], 0

    def __call__(self, x, t, condition=None):
        self.rows.append(len(x))
        if x.requires_grad:
            x.register_hook(self._count)
        return super().__call__(x, t, condition)

    def _count(self, g):
        self.back += 1


def tower(x, t=None):
    return x.double().flatten(1)[:, :4].sin()


CLASSIFIER = MixtureClassifier(Counting())
TEXT = torch.ones(1, 4)
NOISED = ClipGradient(NoisedClip(tower, SCHEDULE), TEXT)
CHEAP = ClipGradient(CleanClip(tower, lambda x0: x0, 2, "x0"), TEXT)
WHOLE = ClipGradient(CleanClip(tower, lambda x0: x0, 2), TEXT)
COSTS = [  # guidance, rows beside the conditional one, passes back through the network
    (ClassifierFree(3.0), 1, 0),
    (StaticThreshold(), 0, 0),
    (DynamicThreshold(), 0, 0),
    (ClassifierGradient(CLASSIFIER), 0, 0),
    (NOISED, 0, 0),
    (CHEAP, 0, 0),
    (WHOLE, 0, 1),
]


@pytest.mark.parametrize(("guidance", "rows", "back"), COSTS, ids=lambda v: type(v).__name__)
def test_one_call_of_the_rows_that_the_table_says(guidance, rows, back):
    network = Counting()
    Guided(network, [guidance])(X, T, CONDITION)
    assert network.rows == [3 * (1 + rows)]
    assert network.back == back
    (said,) = {
        int(cells[4].strip().removeprefix("+"))
        for cells in (line.split("|") for line in str(guide.__doc__).splitlines())
        if len(cells) > 5 and f"`{type(guidance).__name__}`" in cells[1]
    }
    assert rows == said


def test_every_guidance_stands_in_the_table():
    firsts = [line.split("|")[1] for line in str(guide.__doc__).splitlines() if line.startswith("|")]
    for kind in (getattr(guide, name) for name in guide.__all__):
        if hasattr(kind, "combine") or hasattr(kind, "climb"):
            base = kind in (guide.Guidance, Gradient)
            assert base or any(f"`{kind.__name__}`" in first for first in firsts), kind


def test_all_of_them_stack_in_one_call_and_the_order_of_gradients_does_not_matter():
    network = Counting()
    stack = [ClassifierFree(3.0), StaticThreshold(4.0), ClassifierGradient(CLASSIFIER, 2.0), NOISED, CHEAP, WHOLE]
    p = Guided(network, stack)(X, T, CONDITION)
    assert network.rows == [6]
    assert network.back == 1
    assert p.x0.isfinite().all()
    guided = [Guided(Counting(), [ClassifierFree(3.0), a, b])(X.double(), T, CONDITION) for a, b in (
        (ClassifierGradient(CLASSIFIER, 2.0), NOISED), (NOISED, ClassifierGradient(CLASSIFIER, 2.0))
    )]  # fmt: skip
    torch.testing.assert_close(guided[0].x0, guided[1].x0)


def test_classifier_and_classifier_free_guidance_add_up():
    """u + s (c - u), then -sigma w g: with an exact classifier that is the scale s + w."""
    both = Guided(Counting(), [ClassifierFree(3.0), ClassifierGradient(CLASSIFIER, 1.5)])
    alone = Guided(Counting(), [ClassifierFree(4.5)])
    p, q = both(X.double(), T, CONDITION), alone(X.double(), T, CONDITION)
    torch.testing.assert_close(p.x0, q.x0)
    torch.testing.assert_close(p.eps, q.eps)


@pytest.mark.parametrize("w", [-1.0, 0.0, 0.3, 4.0])
def test_three_notations_of_one_guidance(w):
    """(1 + w) c - w u = u + s (c - u) = (1 - gamma) u + gamma c with s = gamma = 1 + w."""
    network, x = Counting(), X.double()
    c, u = network(x, T, CONDITION).eps, network(x, T, CONDITION.null()).eps
    by_w = Guided(network, [ClassifierFree.from_w(w)])(x, T, CONDITION)
    by_gamma = Guided(network, [ClassifierFree.from_gamma(1 + w, interval=(0.1, 0.9))])(x, T, CONDITION)
    by_scale = Guided(network, [ClassifierFree(1 + w)])(x, T, CONDITION)
    torch.testing.assert_close(by_w.eps, (1 + w) * c - w * u)
    torch.testing.assert_close(by_gamma.eps, (1 - (1 + w)) * u + (1 + w) * c)
    torch.testing.assert_close(by_scale.eps, u + (1 + w) * (c - u))
    assert torch.equal(by_w.x0, by_scale.x0)
    assert torch.equal(by_gamma.x0, by_scale.x0)
