"""The openvino engine: PyTorch's answers to 1e-4, the same bits alone and in any batch, and PyTorch where it can't."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from sfumato import load
from sfumato.condition import Attention, Condition
from sfumato.edit import PromptToPrompt
from sfumato.guide import ClassifierFree, PerturbedAttention
from sfumato.network.engine import Eager, Exact, OpenVINO
from sfumato.network.engine import openvino as engine
from sfumato.network.spec import Input, NetworkSpec
from sfumato.network.unet2d_condition import spec
from sfumato.picture import BadInput
from sfumato.picture.errors import PictureWarning

INSTALLED = find_spec("openvino") is not None
here = pytest.mark.skipif(not INSTALLED, reason="openvino is not installed")


def inputs(rows: int = 3) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    x, text = torch.randn(rows, 4, 8, 8, generator=draw), torch.randn(rows, 5, 12, generator=draw)
    return {"x": x, "t": torch.linspace(900.0, 20.0, rows), "text": text}


@pytest.fixture
def by_graph(monkeypatch):
    """How often a graph has answered, and how often one was made."""
    counts = {"answered": 0, "made": 0}

    class Counted(engine.Graph):
        def __init__(self, *given):
            counts["made"] += 1
            super().__init__(*given)

        def __call__(self, given):
            counts["answered"] += 1
            return super().__call__(given)

    monkeypatch.setattr(engine, "Graph", Counted)
    return counts


def near(ours, theirs) -> bool:
    return bool((ours - theirs).abs().max() <= 1e-4 * theirs.abs().max())


@here
@torch.no_grad()
def test_a_unet_answers_as_eager_does_row_by_row(network, by_graph):
    given = inputs()
    run, plain = OpenVINO().prepare(network, spec(network)), Eager().prepare(network, spec(network))
    together = run(**given)
    assert near(together, plain(**given))
    alone = [run(**{name: value[i : i + 1] for name, value in given.items()}) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))
    assert by_graph == {"answered": 4, "made": 1}

    again = OpenVINO().prepare(network, spec(network))
    assert torch.equal(again(**given), together)
    assert by_graph["made"] == 1, "the graphs belong to the network"

    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]], dtype=torch.bool)
    assert near(run(**given, text_mask=mask), plain(**given, text_mask=mask))
    assert by_graph["made"] == 2


@here
@torch.no_grad()
def test_a_weight_that_changes_or_is_another_is_seen(by_graph):
    layer, x = nn.Linear(3, 3).eval(), torch.ones(2, 3)
    run = OpenVINO().prepare(layer, NetworkSpec({"x": Input(("rows", 3))}, lambda net, x: net(x)))
    first, weight = run(x=x), layer.weight
    layer._parameters["weight"] = nn.Parameter(weight + 1)  # as adapters do
    assert near(run(x=x), first + 3)
    layer._parameters["weight"] = weight
    assert torch.equal(run(x=x), first)
    weight.add_(1)
    assert near(run(x=x), first + 3)
    layer.bias.data = layer.bias + 2
    assert near(run(x=x), first + 5)
    assert by_graph == {"answered": 5, "made": 5}


@here
def test_what_no_graph_serves_is_exact_s_answer(network, by_graph):
    given, run, exact = inputs(), OpenVINO().prepare(network, spec(network)), Exact().prepare(network, spec(network))
    network.zero_grad()
    run(**given).square().mean().backward()  # a training's weights
    ours = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    exact(**given).square().mean().backward()
    assert all(torch.equal(ours[name], p.grad) for name, p in network.named_parameters())
    network.requires_grad_(False)
    x = given["x"].requires_grad_()
    assert run(**given).requires_grad  # an edit's pictures
    with torch.no_grad():
        directives = Condition((Attention(torch.tensor([True, False, True])),))
        assert torch.equal(run(**given, directives=directives), exact(**given, directives=directives))
        handle = network.mid_block.register_forward_hook(lambda module, inputs, output: 2 * output)
        assert torch.equal(run(**given), exact(**given))
        handle.remove()
    assert by_graph["made"] == 0
    assert x.grad is None


@here
@torch.no_grad()
@pytest.mark.parametrize(
    ("more", "why"),
    [
        (lambda x: x + torch.rand_like(x), "its graph answers otherwise than PyTorch does"),
        (lambda x: x if float(x.sum()) > 0 else -x, "what it does depends on the numbers that it is told"),
        (lambda x: x.mean(), "its answer is not of tensors with a row for each row"),
    ],
)
def test_a_network_that_openvino_can_t_run_is_said_once_and_run_by_pytorch(more, why):
    class Own(nn.Linear):
        calls = 0

        def forward(self, x):
            Own.calls += 1
            return more(super().forward(x))

    run = OpenVINO().prepare(Own(3, 3).eval(), NetworkSpec({"x": Input(("rows", 3))}, lambda net, x: net(x)))
    with pytest.warns(PictureWarning, match=f"Own is run by PyTorch, as OpenVINO can't: {why}"):
        run(x=torch.ones(2, 3))
    before = Own.calls
    with warnings.catch_warnings(action="error"):
        run(x=torch.ones(2, 3))
    assert Own.calls == before + 1


@here
def test_a_whole_model_runs_on_it(tiny_model, by_graph):
    plain, ours = load(tiny_model), load(tiny_model, engine="openvino")
    both = [pipe.stage for pipe in (plain, ours)]
    with torch.no_grad():
        pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
        latents = [stage.space.encoder(pictures=pictures) for stage in both]
        assert near(latents[1], latents[0])
        assert near(*[stage.space.decoder(z=latents[0]) for stage in both][::-1])
    assert by_graph["made"] == by_graph["answered"] == 2

    def painted(pipe, guidance, **more):
        return [np.asarray(image).astype(int) for image in pipe("a boat", guidance=guidance, steps=4, **more).images]

    free = [ClassifierFree(5.0)]
    before = by_graph["answered"]
    batch = painted(ours, free, seed=7, count=3)
    assert by_graph["answered"] == before + 4 + 1 + 1, "four steps, the prompts, the decoder"
    for one, other in zip(batch, painted(plain, free, seed=7, count=3), strict=True):
        assert abs(one - other).max() <= 1
    alone = painted(ours, free, seed=7)
    assert np.array_equal(batch[0], alone[0])

    perturbed = [ClassifierFree(5.0), PerturbedAttention(2.0)]
    for one, other in zip(painted(ours, perturbed, seed=7), painted(plain, perturbed, seed=7), strict=True):
        assert abs(one - other).max() <= 1
    edited = {"seed": 7, "attention": PromptToPrompt("a car", 0.8, 0.5)}
    for one, other in zip(painted(ours, free, **edited), painted(plain, free, **edited), strict=True):
        assert abs(one - other).max() <= 1


def test_what_it_is_not_for_is_refused_before_anything_is_read(tiny_model, monkeypatch):
    if INSTALLED:
        with pytest.raises(BadInput, match="float32 on the CPU, not in bfloat16 on cpu"):
            load(tiny_model, engine="openvino", precision="bfloat16")
        with pytest.raises(BadInput, match="choose offload none"):
            load(tiny_model, engine="openvino", offload="parts")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BadInput, match=r"install it with pip install 'sfumato\[openvino\]'"):
        load(tiny_model, engine="openvino")


def test_it_is_imported_by_nobody_who_does_not_ask():
    code = "import sys, sfumato.network.engine, sfumato.cli; print('openvino' in sys.modules, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]
