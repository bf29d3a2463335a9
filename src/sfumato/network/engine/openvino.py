"""OpenVINO on the CPU: a row does not know of its neighbours, in graphs of one row each and in those of several, which
are used where they give one row's bits."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from sfumato.element import element
from sfumato.lazy import torch
from sfumato.network.engine.base import Engine, Run
from sfumato.network.engine.exact import Exact
from sfumato.network.engine.graph import CompiledGraph, Graph, Weights, library, streams
from sfumato.network.engine.told import CallInputs, GraphInputs, NotServed, told
from sfumato.network.engine.weights_seen import looked_at
from sfumato.network.turns import calling
from sfumato.picture.errors import BadInput, note

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.network.attention_gates import Gates
    from sfumato.network.spec import NetworkSpec

GRAPHS = 32
"""How many graphs of a network, each for inputs of other shapes, are kept; they hold no weights."""
COMPILED, BYTES = 8, 8 << 30
"""How many of them with weights in their places, and above two of how many bytes; those used longest ago go first."""
SEVERAL = (8, 2)
"""Of how many rows there are graphs beside those of one."""
PATIENCE = 64
"""How many rows are answered one by one before a graph of several is made for their like: that takes seconds, once."""
LIGHT = 256 << 20
"""Bytes of the heaviest network that has such graphs, of those that are called step by step. Each holds the weights
once more, and what it saves is reading weights row by row, which is little beside what a large network computes."""

Found = tuple[tuple[int, ...], GraphInputs, tuple[Graph, CompiledGraph]]
"""Rows, what they are told, and the graph that answers."""

_SERVED: WeakKeyDictionary[nn.Module, dict[Any, Served]] = WeakKeyDictionary()
_LOCK = RLock()  # conversion changes PyTorch's global state, and the network's weights for a moment


@element("openvino")
class OpenVINO(Engine):
    """Runs a network as static graphs of OpenVINO, one row of the batch to one stream: one stream a core.

    Of a small network that is called step by step, 8 or 2 rows go through a graph together if it answers each with the
    bits of one row alone: kernels are chosen by shapes and never by numbers, so that one comparison says it.

    What controls add, a text's mask, and what is asked of attention (Prompt-to-Prompt in graphs of two rows, perturbed
    attention) are inputs of graphs. A graph is converted when inputs of its shapes come first, kept in the user's data
    folder, and compiled anew, not converted, for other weights, as adapters bring them. In float32 it answers within
    1e-4 of PyTorch; in bfloat16 (the weights, and where the processor has it the arithmetic) as bfloat16 does.

    A call that no graph can serve is run by `Exact`, which is bit-equal alone and in any batch too, and a note says so
    once and why: where gradients are recorded, attention is watched or looks at image prompts, or a layer is hooked or
    replaced; and so is a network that can't be converted, or whose graph answers otherwise than PyTorch.
    """

    projects_text: ClassVar[bool] = False  # the graph holds those layers
    whole: ClassVar[bool] = False
    runtime: ClassVar[str] = "openvino"

    def quick(self, device: str) -> int:
        return 3 if device == "cpu" else 0

    def check(self, precision: str, device: str, offload: str) -> None:
        openvino = _openvino()
        if precision not in ("float32", "bfloat16") or torch.device(device).type != "cpu":
            raise BadInput(
                f"The openvino engine computes in float32 or bfloat16 on the CPU, not in {precision} on {device}: "
                "choose one of these and device cpu, or the engine eager."
            )
        if offload != "none":
            raise BadInput("The openvino engine keeps weights in its graphs: choose offload none, or the engine eager.")
        if precision == "bfloat16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            note("this processor has no bfloat16 arithmetic: the weights are rounded to bfloat16, computed in float32")

    def prepare(self, network: nn.Module, spec: NetworkSpec) -> Run:
        _openvino()
        otherwise = Exact().prepare(network, spec)
        said: set[str] = set()

        def run(**inputs: Any) -> Any:
            given = {name: value for name, value in spec.filled(inputs).items() if value is not None}
            try:
                with calling(network):  # which an adapter's weights may stand in for
                    state, low = looked_at(network)
                    asked = told(spec, given)
                    with _LOCK:
                        found = _served(network, spec).answering(network, spec, asked, state, low)
            except NotServed as reason:
                if str(reason) not in said:
                    said.add(str(reason))
                    note(f"{type(network).__name__} is run by PyTorch and not by OpenVINO, as {str(reason)[:200]}")
                return otherwise(**inputs)
            return answered(found, asked.rows, torch.bfloat16 if low else torch.float32)

        return run


def answered(found: list[Found], rows: int, number: Any) -> Any:
    """What the graphs answer to the groups of rows, put together in the rows' order."""
    parts: list[list[Tensor]] = [[] for _ in range(rows)]
    for compiled in dict.fromkeys(each for _, _, (_, each) in found):
        these = [(group, asked) for group, asked, (_, each) in found if each is compiled]
        answers = compiled([asked.tensors for _, asked in these])
        for (group, _), outputs in zip(these, answers, strict=True):
            for i, row in enumerate(group):
                parts[row] = [each[i : i + 1] for each in outputs]
    whole = [torch.cat(each) for each in zip(*parts, strict=True)]
    graph = found[0][2][0]
    return graph.join([each.to(number) if each.is_floating_point() else each for each in whole])


class Served:
    """The graphs of a network, by the kind of their inputs, and the compiled ones, by their weights too."""

    def __init__(self) -> None:
        self.graphs: dict[Hashable, Graph | str] = {}
        self.compiled: dict[Hashable, tuple[CompiledGraph, Weights]] = {}  # who holds weights keeps their ids true
        self.weights: dict[Hashable, Weights] = {}
        self.waited: dict[Hashable, int] = {}  # rows that came, by the graph of several that would have answered them
        self.alike: dict[Hashable, bool] = {}  # whether such a graph gives one row's bits

    def answering(
        self, network: nn.Module, spec: NetworkSpec, asked: CallInputs, state: Hashable, low: bool
    ) -> list[Found]:
        """The graphs that answer a call, each with its rows. Raises NotServed where there is none."""

        def found(groups: list[Gates]) -> Found:
            rows = tuple(row for each in groups for row in each.rows)
            call = asked.group(replace(groups[0], rows=rows))
            return rows, call, self.of(network, spec, call, state, low)

        light = "t" in spec.inputs and self._weights(network, state).bytes <= LIGHT
        plain = light and all(len(each.rows) == 1 and not each.tensors for each in asked.groups)
        most = -(-asked.rows // streams()) if plain else 1  # every stream has something to do
        all_found, left = [], list(asked.groups)
        while left:
            size = next((size for size in SEVERAL if size <= min(most, len(left))), 1)
            these, left = left[:size], left[size:]
            if size > 1 and self._together(found, these, asked, (self._weights(network, state).kind, low)):
                all_found.append(found(these))
            else:
                all_found += [found([each]) for each in these]
        return all_found

    def _together(
        self, found: Callable[[list[Gates]], Found], groups: list[Gates], asked: CallInputs, network: Hashable
    ) -> bool:
        """Whether a graph of several rows is to answer these: it gives one row's bits, and pays."""
        key = (asked.kind, len(groups), network, torch.get_num_threads())
        if key not in self.alike:
            _drop(self.waited, GRAPHS)
            self.waited[key] = self.waited.get(key, 0) + len(groups)
            if self.waited[key] <= PATIENCE:
                return False
            _drop(self.alike, GRAPHS)
            try:
                calls = [found(groups), *(found([each]) for each in groups)]
                whole, *rows = (graph([call.tensors])[0] for _, call, (_, graph) in calls)
                self.alike[key] = all(map(torch.equal, whole, map(torch.cat, zip(*rows, strict=True))))
            except NotServed:
                self.alike[key] = False
        return self.alike[key]

    def of(
        self, network: nn.Module, spec: NetworkSpec, asked: GraphInputs, state: Hashable, low: bool
    ) -> tuple[Graph, CompiledGraph]:
        """The graph that answers, and it with the weights as they are now. Raises NotServed where there is none."""
        weights = self._weights(network, state)
        kind = (asked.kind, asked.rows, weights.kind, low)
        key = (kind, state, torch.get_num_threads())
        if kind not in self.graphs:
            _drop(self.graphs, GRAPHS - 1)
            try:
                self.graphs[kind] = graph = Graph(network, spec, asked, weights, "bf16" if low else "f32")
                self._keep(key, graph.first, weights)
            except Exception as error:
                self.graphs[kind] = (str(error).strip().splitlines() or [type(error).__name__])[0]
        graph = self.graphs[kind]
        if isinstance(graph, str):
            raise NotServed(graph)
        if key not in self.compiled:
            self._keep(key, graph.compiled(weights), weights)
        self.compiled[key] = self.compiled.pop(key)  # it was used last
        return graph, self.compiled[key][0]

    def _keep(self, key: Hashable, compiled: CompiledGraph | None, weights: Weights) -> None:
        if compiled is not None:
            _drop(self.compiled, max(2, min(COMPILED, BYTES // max(1, weights.bytes))) - 1)
            self.compiled[key] = compiled, weights

    def _weights(self, network: nn.Module, state: Hashable) -> Weights:
        if state not in self.weights:
            _drop(self.weights, 1)
            self.weights[state] = Weights(dict(network.named_parameters()), list(network.buffers()))
        return self.weights[state]


def _drop(kept: dict[Any, Any], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]


def _served(network: nn.Module, spec: NetworkSpec) -> Served:
    """One spec and the next are the same where they call the network alike."""
    call = getattr(spec.forward, "__wrapped__", spec.forward)
    return _SERVED.setdefault(network, {}).setdefault(call, Served())


def _openvino() -> Any:
    """The library. Raises BadInput where it is not installed."""
    try:
        return library()
    except ImportError:
        raise BadInput(
            "The engine openvino needs the library openvino: install it with pip install 'sfumato[openvino]', "
            "or choose the engine eager."
        ) from None
