"""A1111's hypernetworks: c + w h(c) before keys and values."""

from __future__ import annotations

import pytest
import torch
from adapter_files import make_unet

from sfumato.adapt import Hypernetwork, open_file
from sfumato.adapt.adaptation import Adaptation
from sfumato.picture import BadInput


def made(path, width: int = 24, norm: bool = True):
    torch.manual_seed(0)

    def one() -> torch.nn.Sequential:
        layers = [
            torch.nn.Linear(width, 2 * width),
            torch.nn.ReLU(),
            torch.nn.LayerNorm(2 * width),
            torch.nn.Linear(2 * width, width),
        ]
        return torch.nn.Sequential(*layers)

    pair = (one(), one())
    states = tuple({f"linear.{key}": value for key, value in each.state_dict().items()} for each in pair)
    said = {width: states, "activation_func": "relu", "is_layer_norm": norm, "activate_output": False, "step": 3}
    torch.save(said, path)
    return Hypernetwork(open_file(path, allow_pickle=True)), pair


def test_keys_and_values_are_made_of_what_it_makes_of_the_text(tmp_path):
    unet = make_unet()
    adapter, (keys, values) = made(tmp_path / "h.pt")
    attention = unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn2")
    text = torch.randn(1, 5, 24)
    plain = attention.to_k(text)
    with torch.no_grad(), Adaptation({"unet": unet}, [adapter * 0.5]).painting(0.3):
        found = attention.to_k(text), attention.to_v(text)
    expected = [
        (text + 0.5 * h(text)) @ layer.weight.T for h, layer in ((keys, attention.to_k), (values, attention.to_v))
    ]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert torch.equal(attention.to_k(text), plain)
    assert not Adaptation({"unet": unet}, [adapter * 0]).painting(0.3).places


@pytest.mark.parametrize(
    "change",
    [
        lambda pair: ({"linear.0.weight": torch.ones(24, 24)}, pair[1]),  # no bias
        lambda pair: ({"other": torch.ones(24, 24)}, pair[1]),
        lambda pair: ([1], pair[1]),
        lambda pair: ({**pair[0], "linear.3.weight": torch.ones(24, 7)}, pair[1]),
        lambda pair: pair[:1],
    ],
)
def test_a_damaged_one_is_refused_in_a_sentence(tmp_path, change):
    made(tmp_path / "h.pt")
    said = torch.load(tmp_path / "h.pt", weights_only=True)
    torch.save(said | {24: change(said[24])}, tmp_path / "h.pt")
    adapter = Hypernetwork(open_file(tmp_path / "h.pt", allow_pickle=True))
    with pytest.raises(BadInput, match="networks for what is 24 wide that are cut off or of other shapes"):
        adapter.bind({"unet": make_unet()})


def test_an_activation_that_needs_more_is_refused(tmp_path):
    made(tmp_path / "h.pt")
    said = torch.load(tmp_path / "h.pt", weights_only=True) | {"activation_func": "threshold"}
    torch.save(said, tmp_path / "h.pt")
    with pytest.raises(BadInput, match="24 wide"):
        Hypernetwork(open_file(tmp_path / "h.pt", allow_pickle=True)).bind({"unet": make_unet()})


def test_one_for_other_widths_is_refused(tmp_path):
    adapter, _ = made(tmp_path / "h.pt", width=20)
    with pytest.raises(BadInput, match="20 wide, of which this model has none"):
        Adaptation({"unet": make_unet()}, [adapter])
