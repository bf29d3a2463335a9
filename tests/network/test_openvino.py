"""The openvino engine: PyTorch's answers to 1e-4, the same bits alone and in any batch, and PyTorch where it can't."""

from __future__ import annotations

import copy
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from sfumato import load
from sfumato.adapt import LoRA
from sfumato.condition import Attention, Condition, Injection, Watched
from sfumato.edit import PromptToPrompt
from sfumato.guide import ClassifierFree
from sfumato.network.engine import Eager, Exact, OpenVINO, graph
from sfumato.network.engine import openvino as engine
from sfumato.network.residuals import Residuals
from sfumato.network.spec import Input, NetworkSpec
from sfumato.network.unet2d_condition import spec
from sfumato.picture import BadInput
from sfumato.picture.errors import PictureWarning

INSTALLED = find_spec("openvino") is not None
here = pytest.mark.skipif(not INSTALLED, reason="openvino is not installed")
LINEAR = NetworkSpec({"x": Input(("rows", 3))}, lambda net, x: net(x))


def inputs(rows: int = 4) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    x, text = torch.randn(rows, 4, 8, 8, generator=draw), torch.randn(rows, 5, 12, generator=draw)
    return {"x": x, "t": torch.linspace(900.0, 20.0, rows), "text": text}


@pytest.fixture
def count(monkeypatch, tmp_path):
    """How many graphs were converted, how many compiled with weights, and how many calls of graphs they answered, where
    none was kept before."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "graphs"))
    counts = {"converted": 0, "compiled": 0, "answered": 0}
    convert = graph._converted

    def converted(*given):
        counts["converted"] += 1
        return convert(*given)

    class Counted(graph.CompiledGraph):
        def __init__(self, *given):
            counts["compiled"] += 1
            super().__init__(*given)

        def __call__(self, calls):
            counts["answered"] += len(calls)
            return super().__call__(calls)

    monkeypatch.setattr(graph, "_converted", converted)
    monkeypatch.setattr(graph, "CompiledGraph", Counted)
    return counts


def near(ours, theirs, within: float = 1e-4) -> bool:
    return bool((ours - theirs).abs().max() <= within * theirs.abs().max())


@here
@torch.no_grad()
def test_what_a_unet_is_told_are_inputs_and_neutral_ones_change_no_bit(network, count):
    given, rows = inputs(), 4
    run, exact = OpenVINO().prepare(network, spec(network)), Exact().prepare(network, spec(network))
    plain = run(**given)
    assert near(plain, exact(**given))
    alone = [run(**{name: value[i : i + 1] for name, value in given.items()}) for i in range(rows)]
    assert torch.equal(plain, torch.cat(alone))
    assert count["converted"] == 1, "of one row, whatever the batch"

    sizes = [(8, 8), (8, 8), (8, 4), (16, 4)]
    draw = torch.Generator().manual_seed(1)
    skips = tuple(torch.randn(rows, channels, side, side, generator=draw) for channels, side in sizes)
    added = Residuals(skips, torch.randn(rows, 16, 4, 4, generator=draw))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)
    neutral = {"added": added.map(torch.zeros_like), "text_mask": torch.ones_like(mask)}
    assert torch.equal(run(**given, **neutral), plain)
    more = {"added": added, "text_mask": mask}
    both = run(**given, **more)
    assert near(both, exact(**given, **more))
    assert not near(both, plain, 1e-2)
    assert count["converted"] == 2, "of the numbers it is told a graph knows nothing"

    off = Attention(torch.zeros(rows, dtype=torch.bool))
    some = Attention(torch.tensor([True, False, True, False]))
    assert torch.equal(run(**given, directives=Condition((off,))), plain)
    perturbed = run(**given, directives=Condition((some,)))
    assert near(perturbed, exact(**given, directives=Condition((some,))))
    assert torch.equal(perturbed[1::2], plain[1::2])
    assert count["converted"] == 3
    shut = replace(only(given, some), tensors={"identity": torch.tensor([False])})
    assert torch.equal(by_hand(network, given, shut), plain[:1]), "a gate that is shut is an input like any other"


@here
@torch.no_grad()
def test_several_rows_go_through_one_graph_with_the_bits_of_each_alone(network, count, monkeypatch):
    monkeypatch.setattr(engine, "PATIENCE", 9)
    monkeypatch.setattr(engine, "streams", lambda: 1)
    given = inputs(11)
    run = OpenVINO().prepare(network, spec(network))
    alone = torch.cat([run(**{name: value[i : i + 1] for name, value in given.items()}) for i in range(11)])
    assert torch.equal(run(**given), alone), "one by one: eight, two and one have not come often enough"
    assert (count["converted"], count["answered"]) == (1, 1 + 11 + 11)
    assert torch.equal(run(**given), alone)
    assert (count["converted"], count["answered"]) == (2, 1 + 22 + 1 + (1 + 8) + 1 + 2 + 1)
    assert torch.equal(run(**given), alone)
    assert count["answered"] == 37 + (1 + 2 + 1)

    def doubled(*given):
        graph, compiled = of(*given)
        return graph, compiled if given[3].rows == 1 else lambda calls: [[2 * each for each in compiled(calls)[0]]]

    of, other = engine.Served.of, copy.deepcopy(network)
    monkeypatch.setattr(engine.Served, "of", doubled)
    monkeypatch.setattr(engine, "PATIENCE", 0)
    eight = {name: value[:8] for name, value in given.items()}
    assert torch.equal(OpenVINO().prepare(other, spec(other))(**eight), alone[:8]), "a graph of other bits is not used"


@here
@torch.no_grad()
def test_prompt_to_prompt_is_a_graph_of_two_rows(network, count):
    given, exact = inputs(), Exact().prepare(network, spec(network))
    run = OpenVINO().prepare(network, spec(network))
    mapping = torch.eye(5).expand(4, 5, 5).clone()
    mapping[:, 3, 3], mapping[:, 3, 4], mapping[:, 4, 4] = 0, 1, 0
    weight = torch.ones(4, 5)
    weight[1, 2] = 1.6
    part = Injection(
        torch.tensor([True, False, True, False]), mapping, weight, torch.tensor([0.0, 1, 0, 1]),
        torch.tensor([0.0, 1, 0, 0]),
    )  # fmt: skip
    told = Condition((part,), torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.long))
    plain, edited = run(**given), run(**given, directives=told)
    assert near(edited, exact(**given, directives=told))
    assert not near(edited, plain, 1e-2)
    part = replace(part, cross_maps=torch.zeros(4), self_maps=torch.tensor([0.0, 1, 0, 1]), weight=torch.ones(4, 5))
    later = replace(told, parts=(part,))
    assert near(run(**given, directives=later), exact(**given, directives=later))
    assert count["converted"] == 2, "the maps of another time are other numbers"
    off = replace(told, parts=(replace(part, self_maps=torch.zeros(4)),))
    assert torch.equal(run(**given, directives=off), plain)


@here
@torch.no_grad()
def test_other_weights_are_seen_and_ask_for_no_other_graph(count, monkeypatch):
    layer, x = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)).eval(), torch.ones(2, 3)
    run, plain = OpenVINO().prepare(layer, LINEAR), Eager().prepare(layer, LINEAR)
    base, weight = run(x=x), layer[0].weight
    other = nn.Parameter(weight + 1)
    for _ in range(20):  # adapters, on and off
        layer[0]._parameters["weight"] = other
        assert near(run(x=x), plain(x=x))
        assert not near(run(x=x), base, 1e-2)
        layer[0]._parameters["weight"] = weight
        assert torch.equal(run(x=x), base)
    assert (count["converted"], count["compiled"]) == (1, 2)
    weight.add_(1)
    assert near(run(x=x), plain(x=x))
    layer[2].bias.data = layer[2].bias + 2
    assert near(run(x=x), plain(x=x))
    assert (count["converted"], count["compiled"]) == (1, 4)

    def never(*given):
        raise AssertionError("the graph is on the disk")

    monkeypatch.setattr(graph, "_converted", never)
    again, alike = copy.deepcopy(layer), nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)).eval()
    assert torch.equal(OpenVINO().prepare(again, LINEAR)(x=x), run(x=x))
    assert near(OpenVINO().prepare(alike, LINEAR)(x=x), alike(x)), "which holds no weights"


@here
def test_what_no_graph_serves_is_exact_s_answer_and_said_once(network, count):
    given, run, exact = inputs(), OpenVINO().prepare(network, spec(network)), Exact().prepare(network, spec(network))
    network.zero_grad()
    said = "UNet2DConditionModel is run by PyTorch and not by OpenVINO, as "
    with pytest.warns(PictureWarning, match=said + "gradients are recorded"):
        run(**given).square().mean().backward()  # a training's weights
    ours = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    exact(**given).square().mean().backward()
    assert all(torch.equal(ours[name], p.grad) for name, p in network.named_parameters())
    network.requires_grad_(False)
    x = given["x"].requires_grad_()
    with warnings.catch_warnings(action="error"):
        assert run(**given).requires_grad  # an edit's pictures
    x.requires_grad_(False)
    seen = []
    watched = Condition((Watched(torch.arange(4), lambda slots, maps: seen.append(maps)),))
    with torch.no_grad(), pytest.warns(PictureWarning, match=said + "its attention is watched"):
        assert torch.equal(run(**given, directives=watched), exact(**given))
    assert seen
    handle = network.mid_block.register_forward_hook(lambda module, inputs, output: 2 * output)
    with torch.no_grad(), pytest.warns(PictureWarning, match=said + "one of its layers has a hook"):
        assert torch.equal(run(**given), exact(**given))
    handle.remove()
    assert count["converted"] == 0


@here
@torch.no_grad()
@pytest.mark.parametrize(
    ("more", "why"),
    [
        (lambda x: x + torch.rand_like(x), "its graph answers otherwise than PyTorch does"),
        (lambda x: x if float(x.sum()) > 0 else -x, "what it does depends on the numbers that it is told"),
        (lambda x: x + x[:, :2].clone().sum().item(), "what it does depends on the numbers that it is told"),
        (lambda x: x + x[x > -9].mean(), "what it does depends on the numbers that it is told"),
        (lambda x: x.mean(), "its answer is not of tensors with a row for each row"),
    ],
)
def test_a_network_that_openvino_can_t_run_is_said_once_and_run_by_pytorch(more, why):
    class Own(nn.Linear):
        calls = 0

        def forward(self, x):
            Own.calls += 1
            return more(super().forward(x))

    run = OpenVINO().prepare(Own(3, 3).eval(), LINEAR)
    with pytest.warns(PictureWarning, match=f"Own is run by PyTorch and not by OpenVINO, as {why}"):
        run(x=torch.ones(2, 3))
    before = Own.calls
    with warnings.catch_warnings(action="error"):
        run(x=torch.ones(2, 3))
    assert Own.calls == before + 1


@here
@torch.no_grad()
def test_whole_numbers_and_constants_are_no_dependence():
    class Own(nn.Linear):
        def forward(self, x):
            return super().forward(x)[:, torch.tensor([2, 0, 1])] * int(torch.tensor(2))

    layer, x = Own(3, 3).eval(), torch.ones(2, 3)
    with warnings.catch_warnings(action="error"):
        assert near(OpenVINO().prepare(layer, LINEAR)(x=x), layer(x))


@here
@torch.no_grad()
def test_bfloat16_is_near_and_a_row_knows_no_neighbours():
    low = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 3)).eval().to(torch.bfloat16)
    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    run = OpenVINO().prepare(low, LINEAR)
    together = run(x=x)
    assert together.dtype == torch.bfloat16
    assert near(together.float(), copy.deepcopy(low).float()(x.float()), 0.05)
    assert torch.equal(together, torch.cat([run(x=x[i : i + 1]) for i in range(3)]))


@here
def test_a_whole_model_runs_on_it(tiny_model, tmp_path, count):
    plain, ours = load(tiny_model), load(tiny_model, engine="openvino")
    both = [pipe.stage for pipe in (plain, ours)]
    with torch.no_grad():
        pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
        latents = [stage.space.encoder(pictures=pictures) for stage in both]
        assert near(latents[1], latents[0])
        assert near(*[stage.space.decoder(z=latents[0]) for stage in both][::-1])
    assert (count["converted"], count["answered"]) == (2, 2 + 2 + 2), "the first row of each is asked twice"

    def painted(pipe, **more):
        found = pipe("a boat", guidance=[ClassifierFree(5.0)], steps=3, **{"seed": 7, **more})
        return [np.asarray(image).astype(int) for image in found.images], found.recipe

    batch, recipe = painted(ours, count=3)
    assert recipe.made.runtime.startswith("openvino 20")
    theirs, eager = painted(plain, count=3)
    assert eager.made.runtime == ""
    assert all(abs(one - other).max() <= 1 for one, other in zip(batch, theirs, strict=True))
    alone = painted(ours)[0]
    assert np.array_equal(batch[0], alone[0])
    converted = count["converted"]

    file = lora(both[0].networks, tmp_path / "me.safetensors")
    with ours.attach(LoRA(file)), plain.attach(LoRA(file)):
        changed = painted(ours)[0][0]
        assert abs(changed - painted(plain)[0][0]).max() <= 1
        assert abs(changed - alone[0]).max() > 3
    assert np.array_equal(painted(ours)[0][0], alone[0])
    assert count["converted"] == converted, "an adapter's weights are put into the graph that is there"

    edited = {"attention": PromptToPrompt("a car", 0.8, 0.5), "steps": 3, "seed": 7}
    ends = [last(pipe, pipe.recipes("a boat", **edited)[0]) for pipe in (ours, plain)]
    assert near(*ends, 1e-3)


def last(pipe, recipe):
    """The latents that the pipe decodes at the end."""
    space, seen = pipe.stage.space, []
    decode = space.decode
    space.decode = lambda x: seen.append(x) or decode(x)
    try:
        pipe.run(recipe)
    finally:
        del space.decode
    return seen[-1]


def lora(networks, path):
    """A file that changes every attention's queries."""
    from safetensors.torch import save_file

    draw, found = torch.Generator().manual_seed(5), {}
    for name, module in networks["unet"].named_modules():
        if name.endswith("to_q"):
            out, inner = module.weight.shape
            found[f"unet.{name}.lora_A.weight"] = torch.randn(2, inner, generator=draw)
            found[f"unet.{name}.lora_B.weight"] = torch.randn(out, 2, generator=draw)
    save_file(found, path)
    return path


def only(given, part):
    """What gates make of a condition's first row."""
    from sfumato.network.attention_gates import gates_of

    return gates_of(Condition((part,)), len(given["x"]))[0]


def by_hand(network, given, gates):
    """The answer of the graph to one group of rows, with its gates as they are."""
    from sfumato.network.engine.told import told

    state, low = engine.looked_at(network)
    call = told(spec(network), given).group(gates)
    _, compiled = engine._served(network, spec(network)).of(network, spec(network), call, state, low)
    return compiled([call.tensors])[0][0]


def test_what_it_is_not_for_is_refused_before_anything_is_read(tiny_model, monkeypatch):
    if INSTALLED:
        with pytest.raises(BadInput, match="float32 or bfloat16 on the CPU, not in float16 on cpu"):
            load(tiny_model, engine="openvino", precision="float16")
        with pytest.raises(BadInput, match="choose offload none"):
            load(tiny_model, engine="openvino", offload="parts")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BadInput, match=r"install it with pip install 'sfumato\[openvino\]'"):
        load(tiny_model, engine="openvino")


def test_it_is_imported_by_nobody_who_does_not_ask():
    code = "import sys, sfumato.network.engine, sfumato.cli; print('openvino' in sys.modules, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]


@torch.no_grad()
def test_what_changes_in_a_network_is_noticed_without_a_walk():
    def changed(change) -> bool:
        before = engine.looked_at(net)[0]
        assert engine.looked_at(net)[0] is before
        change()
        return engine.looked_at(net)[0] != before

    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3, bias=False))).eval()
    first, inner = net[0], net[1][1]
    own, key = inner.weight, engine.looked_at(net)[0]
    assert changed(lambda: inner.weight.add_(1))
    assert changed(lambda: net.load_state_dict(copy.deepcopy(net.state_dict())))
    assert changed(lambda: net[1][0].running_mean.add_(1))
    assert changed(lambda: setattr(first.weight, "data", first.weight.data.clone()))
    with_own = engine.looked_at(net)[0]
    assert changed(lambda: setattr(inner, "weight", nn.Parameter(own.clone())))
    assert changed(lambda: setattr(inner, "weight", own))
    assert engine.looked_at(net)[0] == with_own != key, "what is put back is what it was"
    assert changed(lambda: net[1].append(nn.Linear(3, 3)))
    assert changed(lambda: net.__setitem__(0, copy.deepcopy(first)))
    assert not changed(lambda: inner.weight.data.add_(1)), "as the module says: nothing counts it"
    for hook in (inner.register_forward_hook(print), inner.register_forward_pre_hook(print)):
        with pytest.raises(engine.NotServed, match="hook"):
            engine.looked_at(net)
        hook.remove()
    inner.forward = inner.forward
    with pytest.raises(engine.NotServed, match="replaced"):
        engine.looked_at(net)
    del inner.forward
    with torch.enable_grad(), pytest.raises(engine.NotServed, match="gradients"):
        engine.looked_at(net)
    inner.to(torch.float16)
    with pytest.raises(engine.NotServed, match="float16"):
        engine.looked_at(net)
