"""Whose words hold where: masks, boxes, weights, overlaps; attention that is divided, predictions that are mixed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from sfumato.condition import Condition, MixedRegions, Text
from sfumato.denoise import Gaussian, Prediction
from sfumato.edit import PromptToPrompt
from sfumato.guide import AutoGuided, ClassifierFree, Guided
from sfumato.network.attention_maps import attended, divided
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.capabilities import Capabilities
from sfumato.recipe.written import region
from sfumato.region import PredictionMixing, Region, RegionalAttention
from sfumato.region.region import shares_of
from sfumato.schedule import VPLinear

SCHEDULE = VPLinear()
LEFT, RIGHT = (0, 0, 0.5, 1), (0.5, 0, 1, 1)
BATCH = SimpleNamespace(size=(8, 4), shown_box=(0.0, 0.0, 1.0, 1.0))


def test_regions_divide_what_they_have_in_common_and_leave_the_rest():
    shares = shares_of(BATCH, [Region("a", box=LEFT), Region("b", box=(0, 0, 1, 0.5), weight=0.5)])
    expected = torch.zeros(4, 8)
    expected[:, :4] = 1
    expected[:2, :4] = 2 / 3
    torch.testing.assert_close(shares["a"], expected)
    expected = torch.zeros(4, 8)
    expected[:2] = 0.5
    expected[:2, :4] = 1 / 3
    torch.testing.assert_close(shares["b"], expected)


def test_what_says_the_same_is_one_region_and_what_holds_nowhere_none():
    shares = shares_of(BATCH, [Region("a", box=LEFT), Region("a", box=RIGHT), Region("b", box=RIGHT, weight=0)])
    assert list(shares) == ["a"]
    assert torch.equal(shares["a"], torch.ones(4, 8))


def test_a_box_counts_pixels_in_part_and_is_seen_through_the_view():
    [share] = shares_of(BATCH, [Region("a", box=(0.0625, 0, 0.5, 0.5))]).values()
    torch.testing.assert_close(share[0], torch.tensor([0.5, 1, 1, 1, 0, 0, 0, 0]))
    assert torch.equal(share[:, 1], torch.tensor([1.0, 1, 0, 0]))
    cropped = SimpleNamespace(size=(8, 4), shown_box=(0.25, 0.0, 0.75, 1.0))
    [share] = shares_of(cropped, [Region("a", box=LEFT)]).values()
    assert torch.equal(share, (torch.arange(8) < 4).float().expand(4, 8))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give one of the two"),
        ({"mask": __file__, "box": LEFT}, "mask"),
        ({"box": (0.5, 0, 0.5, 1)}, "0 <= left < right <= 1"),
        ({"box": LEFT, "weight": 1.5}, "from 0"),
    ],
)
def test_a_region_that_lies_nowhere_is_refused(given, said):
    with pytest.raises(BadInput, match=said):
        Region("a", **given)


def test_regions_as_they_are_written(tmp_path):
    from PIL import Image

    mask = tmp_path / "a, b: mask.png"
    Image.new("L", (8, 8), 255).save(mask)
    assert region("0,0,.5,1:a (red:1.3) hat, new") == Region("a (red:1.3) hat, new", box=LEFT)
    assert region(" 0.5, 0, 1, 1,weight=0.5: b") == Region("b", box=RIGHT, weight=0.5)
    assert region(f"{mask}:a: b") == Region("a: b", mask)
    assert region(f"{mask},weight=0.25:a") == Region("a", mask, weight=0.25)
    for wrong in ("a red hat", "0,0,1:a", "nothing.png:a", ":a", "0,0,2,1:a", f"{mask},weight=x:a"):
        with pytest.raises(BadInput, match="--region"):
            region(wrong)


def test_with_hard_masks_divided_attention_is_that_of_masked_logits():
    torch.manual_seed(0)
    scores, values = torch.randn(2, 3, 6, 9), torch.randn(2, 3, 9, 4)
    lengths, own = (2, 4, 3), torch.tensor([0, 1, 2, 1, 0, 2])
    shares = torch.nn.functional.one_hot(own, 3).float().expand(2, -1, -1)
    text = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    hidden = scores.masked_fill(text[None, :] != own[:, None], -torch.inf)
    found = attended(divided(scores, lengths, shares), values)
    torch.testing.assert_close(found, attended(hidden.softmax(-1), values))


class Told:
    """A denoiser of pictures whose pixels are Gaussian around what the text's embedding says."""

    schedule = SCHEDULE

    def __init__(self):
        self.rows = []

    def __call__(self, x, t, condition) -> Prediction:
        assert condition.get(MixedRegions) is None
        self.rows.append(len(x))
        text = condition.get(Text)
        assert not text.others
        means = text.embeds[:, 0, :1].to(x).expand(-1, x[0].numel())
        outs = [Gaussian(SCHEDULE, mean, 0.5)(row.reshape(1, -1), t) for row, mean in zip(x, means, strict=True)]
        whole = {name: torch.cat([getattr(out, name) for out in outs]).reshape(x.shape) for name in ("x", "x0", "eps")}
        return Prediction(**whole, alpha=outs[0].alpha, sigma=outs[0].sigma)


def said(mean: float, **more) -> Text:
    return Text(torch.full((2, 1, 2), mean), **more)


X = torch.linspace(-1, 1, 2 * 3 * 4, dtype=torch.float64).reshape(2, 1, 3, 4)
T = torch.tensor(0.6, dtype=torch.float64)
SHARES = torch.stack([(torch.arange(4) < 2).double().expand(3, 4), (torch.arange(4) >= 2).double().expand(3, 4)])[None]


def mixed(general: Text, region: Text) -> Condition:
    return PredictionMixing().apply(Condition((general,)), [Condition((region,))], SHARES)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_each_cell_is_predicted_as_its_own_words_alone_would(scale):
    """Pixels of these Gaussians don't know of each other, so the mixed picture is the halves of two pictures."""
    nothing = said(0.0)
    network = Told()
    found = Guided(network, [ClassifierFree(scale)])(X, T, mixed(said(1.0, negative=nothing), said(-2.0)))
    assert network.rows == [4 if scale == 1 else 6]  # the unconditional branch knows no regions
    for mean, half in ((1.0, slice(0, 2)), (-2.0, slice(2, 4))):
        alone = Guided(Told(), [ClassifierFree(scale)])(X, T, Condition((said(mean, negative=nothing),)))
        assert torch.equal(found.x0[..., half], alone.x0[..., half])
        assert torch.equal(found.eps[..., half], alone.eps[..., half])


def test_regions_and_joined_prompts_and_other_models_go_together():
    nothing = said(0.0)
    joins = said(1.0, negative=nothing, others=(said(0.5),), shares=torch.tensor([[1.0, 2.0]] * 2))
    network, worse = Told(), Told()
    condition = mixed(joins, said(-2.0))
    found = Guided(network, [AutoGuided(Guided(worse, ()), 2.0)])(X, T, condition)
    assert network.rows == worse.rows == [8]  # nothing, two joined, one region
    torch.testing.assert_close(found.x0[..., :2], Told()(X, T, Condition((said(2.0),))).x0[..., :2])
    torch.testing.assert_close(found.x0[..., 2:], Told()(X, T, Condition((said(-2.0),))).x0[..., 2:])


def test_rows_are_taken_with_their_regions():
    condition = mixed(said(1.0, negative=said(0.0)), said(-2.0))
    whole = Guided(Told(), [])(X, T, condition)
    one = Guided(Told(), [])(X[1:], T, condition.select([1]).to(torch.float64))
    assert torch.equal(one.x0, whole.x0[1:])


def test_the_method_is_what_the_model_can():
    recipe = Recipe("a", regions=[Region("b", box=LEFT)])
    words, joint = Capabilities(text=True), Capabilities(text=True, joint=True)
    assert words.fitted(recipe).regional == RegionalAttention()
    assert joint.fitted(recipe).regional == PredictionMixing()
    assert words.fitted(Recipe("a", regional="mixing")).regional is None
    refused = {
        "attends to words and picture at once": (joint, {"regional": "attention"}),
        "was not trained on maps of words": (words, {"regional": "spatio-textual"}),
        "reads no text": (Capabilities(), {"prompt": ""}),
        "leave one of the two out": (words, {"attention": PromptToPrompt("c")}),
    }
    for sentence, (can, changes) in refused.items():
        with pytest.raises(BadInput, match=sentence):
            can.fitted(Recipe(**{"prompt": "a", "regions": recipe.regions, **changes}))
