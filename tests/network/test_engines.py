"""A network and its spec: inputs by name, neutral values that change nothing, and engines that are found by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfumato.condition import Attention, Condition, Text
from sfumato.element import element
from sfumato.network import UNetBackbone
from sfumato.network.engine import Eager, Engine, Exact, dtype_of, engine_of
from sfumato.network.spec import Input, NetworkSpec
from sfumato.network.unet2d_condition import spec
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.region import PredictionMixing, Region


def inputs(rows: int = 2) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    x, text = torch.randn(rows, 4, 8, 8, generator=draw), torch.randn(rows, 5, 12, generator=draw)
    return {"x": x, "t": torch.full((rows,), 500.0), "text": text}


@torch.no_grad()
def test_neutral_inputs_are_the_network_s_own_answer_to_the_bit(network):
    run, given = Eager().prepare(network, spec(network)), inputs()
    own = network(given["x"], given["t"], given["text"]).sample
    assert torch.equal(run(**given), own)
    assert torch.equal(run(**given, text_mask=None, directives=None, text_kv=None), own)
    assert torch.equal(run(**given, text_kv={}), own)
    off = Condition((Attention(torch.zeros(2, dtype=torch.bool)),))
    assert torch.equal(run(**given, directives=off), own)


@torch.no_grad()
def test_keys_and_values_that_are_given_are_used(network):
    backbone, given = UNetBackbone(network), inputs()
    kv = backbone.text_kv.of(given["text"])
    assert kv
    assert all(name.endswith(("to_k", "to_v")) for name in kv)
    assert torch.equal(backbone.run(**given, text_kv=kv), backbone.run(**given))
    twice = {name: 2 * value for name, value in kv.items()}
    assert not torch.equal(backbone.run(**given, text_kv=twice), backbone.run(**given))


def test_inputs_are_refused_and_missed_by_name(network):
    run = Eager().prepare(network, spec(network))
    with pytest.raises(BadInput, match=r"no input sizes; it has x, t, text, text_mask, directives, text_kv, added\."):
        run(**inputs(), sizes=torch.zeros(2, 6))
    with pytest.raises(BadInput, match=r"needs its input text\."):
        run(**{name: value for name, value in inputs().items() if name != "text"})


@torch.no_grad()
def test_the_exact_engine_knows_no_neighbours(network):
    run, given = Exact().prepare(network, spec(network)), inputs(3)
    alone = [run(**{name: value[i : i + 1] for name, value in given.items()}) for i in range(3)]
    assert torch.equal(run(**given), torch.cat(alone))


def test_a_loss_goes_through_the_prepared_network(network):
    run, given = UNetBackbone(network).run, inputs()
    network.zero_grad()
    run(**given).square().mean().backward()
    ours = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    network(given["x"], given["t"], given["text"]).sample.square().mean().backward()
    assert ours
    assert all(torch.equal(ours[name], p.grad) for name, p in network.named_parameters() if p.grad is not None)
    network.zero_grad()


def test_engines_and_precisions_are_named_once():
    assert list(Engine.registry) == ["compiled", "eager", "exact", "openvino"]
    assert engine_of("exact") == Exact()
    assert dtype_of("bfloat16") == torch.bfloat16
    for name in Engine.registry:
        assert Recipe(engine=name).engine == name


def test_a_stranger_s_engine_is_one_class_and_known_by_name_until_it_is_removed():
    @element("doubling")
    class Doubling(Engine):
        def prepare(self, network, spec):
            return lambda **inputs: 2 * spec.forward(network, **spec.filled(inputs))

    try:
        run = engine_of("doubling").prepare(nn.Linear(2, 2), NetworkSpec({"x": Input(("rows", 2))}, lambda net, x: x))
        assert torch.equal(run(x=torch.ones(1, 2)), torch.full((1, 2), 2.0))
    finally:
        Engine.registry.remove("doubling")
    with pytest.raises(BadInput, match="accepted are compiled, eager, exact"):
        engine_of("doubling")


@torch.no_grad()
def test_a_text_in_low_precision_is_cast_once_and_remembered(network):
    import copy

    low = UNetBackbone(copy.deepcopy(network).to(torch.bfloat16))
    given = inputs()
    condition = Condition((Text(given["text"]),))
    first = low(given["x"], given["t"], condition)
    kept = low.text_kv.of(low.cast(given["text"], torch.bfloat16))
    assert torch.equal(first, low(given["x"], given["t"], condition))
    again = low.text_kv.of(low.cast(given["text"], torch.bfloat16))
    assert kept
    assert again
    assert all(kept[name] is again[name] for name in kept)


def test_auto_is_the_quickest_that_is_here_and_right(tiny_model, monkeypatch):
    from sfumato import load
    from sfumato.edit import PromptToPrompt
    from sfumato.guide import ClipGuidance
    from sfumato.network.engine import OpenVINO, base, quickest

    def missing(self, *asked):
        raise BadInput("It is not installed.")

    monkeypatch.setattr(OpenVINO, "check", lambda self, *asked: None)
    assert quickest("float32", "cpu", "none") == "openvino"
    assert quickest("float32", "cpu", "none", whole=True) == "eager"
    monkeypatch.setattr(base.Engine.registry["compiled"], "check", lambda self, *asked: None)
    assert quickest("bfloat16", "cuda", "none") == "compiled"
    monkeypatch.setattr(OpenVINO, "check", missing)
    assert quickest("float32", "cpu", "none") == "eager"
    pipe = load(tiny_model, engine="auto", device="cpu")
    assert (pipe.engine, pipe.recipes("a boat")[0].engine) == ("eager", "eager")

    from sfumato.model.engines import beyond_graphs

    plain = Recipe("a boat", model=str(tiny_model))
    assert not beyond_graphs(plain)
    assert beyond_graphs(Recipe("a boat", attention=PromptToPrompt("a cat", blend=("cat",))))
    assert beyond_graphs(Recipe("a boat", guidance=[ClipGuidance(through="network")]))
    left = (Region("a cat", box=(0, 0, 0.5, 1)),)
    assert beyond_graphs(Recipe("a boat", regions=left))
    assert not beyond_graphs(Recipe("a boat", regions=left, regional=PredictionMixing()))
