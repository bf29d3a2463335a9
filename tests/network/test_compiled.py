"""The compiled engine: PyTorch's answers, other weights seen, and PyTorch itself where it can't."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfumato import load
from sfumato.network.engine import Compiled, Eager, compiled
from sfumato.network.spec import Input, NetworkSpec
from sfumato.picture import BadInput
from sfumato.picture.errors import PictureWarning

SPEC = NetworkSpec({"x": Input(("rows", 4))}, lambda net, x: net(x))


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.SiLU()).eval().requires_grad_(False)


@pytest.mark.skipif(not compiled.compiler(), reason="there is no C++ compiler")
def test_weights_that_are_swapped_are_seen_without_compiling_anew(layers):
    from torch._dynamo.testing import CompileCounter  # noqa: F401  (loads what the counters need)
    from torch._dynamo.utils import counters
    from torch._inductor import config

    run, plain, x = Compiled().prepare(layers, SPEC), Eager().prepare(layers, SPEC), torch.randn(3, 4)
    quick = {"cpp.simdlen": 1, "cpp_cache_precompile_headers": False}  # compiles once, not for every vector width
    with torch.no_grad(), config.patch(quick):
        base, weight = run(x=x), layers[0].weight
        torch.testing.assert_close(base, plain(x=x))
        before = counters["stats"]["unique_graphs"]
        for i in range(20):
            layers[0]._parameters["weight"] = nn.Parameter(weight * (2 + i), requires_grad=False)
            torch.testing.assert_close(run(x=x), plain(x=x))
            layers[0]._parameters["weight"] = weight
            assert torch.equal(run(x=x), base)
        weight.add_(1)
        torch.testing.assert_close(run(x=x), plain(x=x))
        assert not torch.equal(run(x=x), base)
        assert counters["stats"]["unique_graphs"] == before


def test_gradients_and_hooks_are_pytorch_s(layers, monkeypatch):
    def never(*given, **options):
        raise AssertionError("compiled")

    monkeypatch.setattr(compiled.torch, "compile", never)
    run, plain = Compiled().prepare(layers, SPEC), Eager().prepare(layers, SPEC)
    x = torch.randn(2, 4, requires_grad=True)
    run(x=x).sum().backward()
    assert x.grad is not None
    with torch.no_grad():
        handle = layers[0].register_forward_hook(lambda module, inputs, output: output + 1)
        assert torch.equal(run(x=x), plain(x=x))
        handle.remove()


@torch.no_grad()
def test_what_can_t_be_compiled_is_said_once_and_called_as_it_stands(layers, monkeypatch):
    def failing(function, **options):
        def call(told):
            raise RuntimeError("no kernel for it")

        return call

    monkeypatch.setattr(compiled.torch, "compile", failing)
    run, x = Compiled().prepare(layers, SPEC), torch.randn(2, 4)
    with pytest.warns(PictureWarning, match="Sequential is called as it stands, as torch.compile can't make it: no ke"):
        assert torch.equal(run(x=x), layers(x))
    assert torch.equal(run(x=x), layers(x))


def test_a_machine_without_a_compiler_is_told_so(tiny_model, monkeypatch):
    monkeypatch.setattr(compiled, "compiler", lambda: "")
    with pytest.raises(BadInput, match="needs a C\\+\\+ compiler on the CPU"):
        load(tiny_model, engine="compiled", device="cpu")
    with pytest.raises(BadInput, match="choose offload none"):
        load(tiny_model, engine="compiled", device="cpu", offload="parts")
