"""OpenVINO on the CPU: float32 graphs of one row each, so that a row does not know of its neighbours."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from sfumato.element import element
from sfumato.lazy import torch
from sfumato.network.engine.base import Engine, Run
from sfumato.network.engine.exact import Exact
from sfumato.network.turns import calling
from sfumato.picture.errors import BadInput, note

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from sfumato.network.spec import NetworkSpec

TOLERANCE = 1e-4
"""By how much, of its largest value, a graph's first answer may differ from PyTorch's for the graph to be used."""
SHAPES = 8
"""How many graphs of a network, each for inputs of other shapes, are kept; the oldest goes first."""
CACHE = 4 << 30
"""How many bytes of compiled models are kept in the user's data folder."""

_GRAPHS: WeakKeyDictionary[nn.Module, dict[Any, Graphs]] = WeakKeyDictionary()
_LOCK = RLock()  # conversion changes PyTorch's global state


@element("openvino")
class OpenVINO(Engine):
    """Runs a network as a static graph of OpenVINO in float32, one row of the batch after the other.

    A graph is converted and compiled when inputs of its shapes come first, and again when a weight is another one or
    has changed. A call that no graph can serve is run by `Exact`, which is bit-equal alone and in any batch too: where
    gradients are recorded, or the network's attention is directed, hooked or told keys and values, or its weights are
    not float32 on the CPU; and so is a network that can't be converted, or whose graph answers otherwise than PyTorch.
    """

    projects_text: ClassVar[bool] = False  # the graph holds those layers

    def check(self, precision: str, device: str, offload: str) -> None:
        _openvino()
        if precision != "float32" or device != "cpu":
            raise BadInput(
                f"The openvino engine computes in float32 on the CPU, not in {precision} on {device}: "
                "choose precision float32 and device cpu, or the engine eager."
            )
        if offload != "none":
            raise BadInput("The openvino engine keeps weights in its graphs: choose offload none, or the engine eager.")

    def prepare(self, network: nn.Module, spec: NetworkSpec) -> Run:
        _openvino()
        otherwise = Exact().prepare(network, spec)

        def run(**inputs: Any) -> Any:
            given = {name: value for name, value in spec.filled(inputs).items() if value is not None}
            with calling(network):
                if not servable(network, spec, given):
                    return otherwise(**inputs)
                with _LOCK:
                    graph = _graphs(network, spec).of(network, spec, given)
                if graph is None:
                    return otherwise(**inputs)
            with graph.alone:  # which holds its weights
                return graph(given)

        return run


def servable(network: nn.Module, spec: NetworkSpec, given: Mapping[str, Any]) -> bool:
    """Whether a graph can answer: plain tensors on the CPU with as many rows each, nothing recorded or hooked."""
    numbers = (torch.float32, torch.int64, torch.bool)
    for value in given.values():
        if type(value) is not torch.Tensor or value.device.type != "cpu" or value.dtype not in numbers:
            return False
        if torch._C._functorch.is_functorch_wrapped_tensor(value):  # pyright: ignore[reportAttributeAccessIssue]
            return False
    rows = {len(value) for name, value in given.items() if _by_row(spec, name)}
    if len(rows) != 1 or rows == {0} or network.training:
        return False
    recording = torch.is_grad_enabled()
    if recording and any(value.requires_grad for value in given.values()):
        return False
    for module in network.modules():
        if "forward" in vars(module) or any(map(_acts, _hooks(module))):
            return False
        for weight in module._parameters.values():
            if weight is None:
                continue
            if (recording and weight.requires_grad) or weight.dtype != torch.float32 or weight.device.type != "cpu":
                return False
    return True


class Graphs:
    """The graphs of a network by the shapes of their inputs, as long as its weights stay as they were."""

    def __init__(self, weights: list[Tensor]) -> None:
        self.weights, self.state = weights, _state(weights)  # holding the weights keeps their ids true
        self.graphs: dict[Any, Graph | None] = {}

    def of(self, network: nn.Module, spec: NetworkSpec, given: Mapping[str, Tensor]) -> Graph | None:
        """The graph for such inputs; None where there can't be one, which is said once."""
        shapes = [(name, tuple(value.shape[_by_row(spec, name) :]), value.dtype) for name, value in given.items()]
        key = (*shapes, torch.get_num_threads())
        if key not in self.graphs:
            while len(self.graphs) >= SHAPES:
                del self.graphs[next(iter(self.graphs))]
            try:
                self.graphs[key] = Graph(network, spec, given)
            except Exception as error:
                self.graphs[key] = None
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                note(f"{type(network).__name__} is run by PyTorch, as OpenVINO can't: {reason[:200]}")
        return self.graphs[key]


class Graph:
    """A network compiled for inputs of certain shapes with one row each.

    Raises ValueError if its answer to the first row of the inputs given is not PyTorch's.
    """

    def __init__(self, network: nn.Module, spec: NetworkSpec, given: Mapping[str, Tensor]) -> None:
        from torch.utils._pytree import tree_flatten, tree_unflatten

        self.spec, self.names, self.alone = spec, list(given), Lock()
        first = self._row(given, 0)
        with torch.no_grad():
            leaves, structure = tree_flatten(spec.forward(network, **spec.filled(first)))
        if not all(isinstance(leaf, torch.Tensor) and leaf.ndim and len(leaf) == 1 for leaf in leaves):
            raise ValueError("its answer is not of tensors with a row for each row of its inputs")
        _check_attention(network)
        _check_steady(network, spec, first)
        self.join: Callable[[list[Tensor]], Any] = lambda tensors: tree_unflatten(tensors, structure)
        self.request = compiled(network, spec, first).create_infer_request()
        for ours, theirs in zip(self._one(first), leaves, strict=True):
            error = (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12)
            if ours.shape != theirs.shape or not error <= TOLERANCE:
                raise ValueError(f"its graph answers otherwise than PyTorch does, by {float(error):.1g}")

    def __call__(self, given: Mapping[str, Tensor]) -> Any:
        count = next(len(value) for name, value in given.items() if _by_row(self.spec, name))
        rows = [self._one(self._row(given, i)) for i in range(count)]
        return self.join([torch.cat(each) for each in zip(*rows, strict=True)])

    def _row(self, given: Mapping[str, Tensor], i: int) -> dict[str, Tensor]:
        return {
            name: (value[i : i + 1] if _by_row(self.spec, name) else value).detach().contiguous()
            for name, value in given.items()
        }

    def _one(self, row: Mapping[str, Tensor]) -> list[Tensor]:
        self.request.infer([row[name].numpy() for name in self.names], share_inputs=True)
        return [torch.from_numpy(each.data.copy()) for each in self.request.output_tensors]


def _check_steady(network: nn.Module, spec: NetworkSpec, row: Mapping[str, Tensor]) -> None:
    """Raises ValueError for a network whose way depends on the numbers that it is told: a graph has one way."""
    from torch._subclasses import fake_tensor as fake

    try:
        with torch.no_grad(), fake.FakeTensorMode(allow_non_fake_inputs=True) as mode:
            spec.forward(network, **spec.filled({name: mode.from_tensor(value) for name, value in row.items()}))
    except (fake.DataDependentOutputException, fake.DynamicOutputShapeException):
        raise ValueError("what it does depends on the numbers that it is told") from None
    except Exception:  # numbers that are not there can't be used everywhere
        return


def _check_attention(network: nn.Module) -> None:
    """Raises ValueError for attention to words and picture at once, by keys of both side by side (DeepFloyd IF's and
    unCLIP's): OpenVINO takes them for keys that are kept from step to step, and its compiler ends the process."""
    processors = (type(getattr(module, "processor", None)).__name__ for module in network.modules())
    if any(name.startswith("AttnAddedKV") for name in processors):
        raise ValueError("its attention is to words and picture at once")


def compiled(network: nn.Module, spec: NetworkSpec, row: Mapping[str, Tensor]) -> Any:
    """OpenVINO's compiled model of a network for inputs such as `row`, in their order; its outputs are flat."""
    from torch.utils._pytree import tree_leaves

    from sfumato.picture import home

    names = list(row)

    class Told(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
            return tuple(tree_leaves(spec.forward(self.network, **spec.filled(dict(zip(names, values, strict=True))))))

    openvino, cache = _openvino(), home() / "openvino"
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of tracing shapes, which never change here
        model = openvino.convert_model(Told().eval(), example_input=tuple(row.values()))
    model.reshape({i: list(value.shape) for i, value in enumerate(row.values())})
    options = {
        "INFERENCE_PRECISION_HINT": "f32",  # bfloat16 otherwise, where the processor has it
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "CACHE_DIR": str(cache),
    }
    made = openvino.Core().compile_model(model, "CPU", options)
    _shrink(cache)
    return made


def _shrink(cache: Path) -> None:
    """Deletes the compiled models that were written first, until the others are no larger than CACHE together."""
    left = CACHE
    for size, path in [(p.stat().st_size, p) for p in sorted(cache.glob("*.blob"), key=_written, reverse=True)]:
        left -= size
        if left < 0:
            path.unlink(missing_ok=True)


def _written(path: Path) -> float:
    return path.stat().st_mtime


def _graphs(network: nn.Module, spec: NetworkSpec) -> Graphs:
    """The graphs of a network as its weights are now. One spec and the next are the same where they call it alike."""
    call = getattr(spec.forward, "__wrapped__", spec.forward)
    kept = _GRAPHS.setdefault(network, {})
    weights = [*network.parameters(), *network.buffers()]
    if call not in kept or kept[call].state != _state(weights):
        kept[call] = Graphs(weights)
    return kept[call]


def _state(weights: list[Tensor]) -> list[tuple[int, int, int]]:
    return [(id(weight), weight._version, weight.data_ptr()) for weight in weights]


def _by_row(spec: NetworkSpec, name: str) -> bool:
    return spec.inputs[name].shape[:1] == ("rows",)


def _hooks(module: Any) -> list[Any]:
    return [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]


def _acts(hook: Any) -> bool:
    """Whether a hook acts in this call: those of directives act in the call that set them, and none has set any."""
    return getattr(hook, "__module__", "") != "sfumato.network.attention_directives"


def _openvino() -> Any:
    """The library, which is asked not to report its use. Raises BadInput where it is not installed."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise BadInput(
            "The engine openvino needs the library openvino: install it with pip install 'sfumato[openvino]', "
            "or choose the engine eager."
        ) from None
    return openvino
