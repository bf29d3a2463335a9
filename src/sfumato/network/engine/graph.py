"""A network as a graph of OpenVINO whose weights are inputs as well: they are put into their places, by their names,
when the graph is compiled, so that other weights need no other graph."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any

from sfumato.lazy import torch
from sfumato.network.engine.steady import steady_answer
from sfumato.network.engine.told import GraphInputs, NotServed
from sfumato.network.engine.weights_seen import Known

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.network.spec import NetworkSpec

TOLERANCE = {"f32": 1e-4, "bf16": 0.1}
"""By how much, of its largest value, a graph's first answer may differ from PyTorch's float32 for it to be used."""
STREAMS = 4
"""At most so many rows are answered at a time: a picture with guidance has two, and should not sit on two cores of
many."""
FORMAT = 1
"""Another number where networks become other graphs than before: those that are kept are of no use then."""
CACHE = 256 << 20
"""How many bytes of graphs, which hold no weights, are kept in the user's data folder."""


@dataclass(frozen=True, eq=False)
class Weights:
    """What a network's weights are now, by their names. buffers: what is part of a graph itself. Holding the objects
    and their memory keeps ids and addresses their own: see `weights_seen`."""

    objects: Mapping[str, Tensor]
    buffers: Sequence[Tensor]

    @cached_property
    def named(self) -> dict[str, Tensor]:
        return {name: each.detach() for name, each in self.objects.items()}

    @cached_property
    def kind(self) -> Hashable:
        """The same for all weights that one graph takes."""
        shapes = tuple((name, tuple(each.shape)) for name, each in self.named.items())
        return Known((shapes, tuple((id(each), each._version, each.data_ptr()) for each in self.buffers)))

    @cached_property
    def bytes(self) -> int:
        """In float32, as a compiled graph holds them."""
        return sum(4 * each.numel() for each in self.named.values())


class Graph:
    """A network for calls of one kind. Raises NotServed for a network of which there is no such graph.

    Read from the user's data folder where it was made before, of a network of the same content but for its weights;
    its first answer is compared with PyTorch's in any case.
    """

    def __init__(self, network: nn.Module, spec: NetworkSpec, asked: GraphInputs, weights: Weights, hint: str) -> None:
        from torch.utils._pytree import tree_flatten, tree_unflatten

        _check_attention(network)
        self.hint, self.buffers = hint, weights.buffers  # holding them keeps their ids true
        inputs, values = asked.tensors, [each.float() for each in weights.named.values()]
        forward = _forward(network, spec, asked, list(weights.named))
        leaves, structure = tree_flatten(steady_answer(forward, inputs, values))
        if not all(isinstance(leaf, torch.Tensor) and leaf.ndim and len(leaf) == asked.rows for leaf in leaves):
            raise NotServed("its answer is not of tensors with a row for each row of its inputs")
        self.join: Callable[[Sequence[Tensor]], Any] = lambda tensors: tree_unflatten(list(tensors), structure)
        place = _place(network, spec, asked, weights)
        error = float("inf")
        for kept in (True, False):
            self.model: Any = _read(place) if kept else None
            if self.model is None:
                self.model = _converted(forward, inputs, values)
                _write(self.model, place)
            self._first = self.compiled(weights)
            error = _error(self._first([inputs])[0], leaves)
            if error <= TOLERANCE[hint]:
                return
        raise NotServed(f"its graph answers otherwise than PyTorch does, by {error:.1g}")

    @property
    def first(self) -> CompiledGraph | None:
        """What was compiled to compare its answer, once."""
        first, self._first = self._first, None
        return first

    def compiled(self, weights: Weights) -> CompiledGraph:
        """The graph with weights in their places."""
        openvino = library()
        model = self.model.clone()
        inputs = model.get_parameters()
        for place, weight in zip(inputs[len(inputs) - len(weights.named) :], weights.named.values(), strict=True):
            value = weight.float().contiguous()
            held = value.data_ptr() == weight.data_ptr()  # what is kept as long as the graph need not be copied
            constant = openvino.op.Constant(openvino.Tensor(value.numpy(), shared_memory=held))
            place.output(0).replace(constant.output(0))
            model.remove_parameter(place)
        model.validate_nodes_and_infer_types()
        return CompiledGraph(model, self.hint)


class CompiledGraph:
    """A graph that runs: one stream a core, up to STREAMS, each of which answers one call at a time."""

    def __init__(self, model: Any, hint: str) -> None:
        options = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": streams(),
            "ENABLE_CPU_PINNING": False,  # other processes are pinned to the same cores
        }
        made = library().Core().compile_model(model, "CPU", options)
        self.requests, self.alone = [made.create_infer_request() for _ in range(streams())], Lock()

    def __call__(self, calls: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
        """The outputs of each call, whichever stream it went to."""
        answers: list[list[Tensor]] = []
        with self.alone:
            for begin in range(0, len(calls), len(self.requests)):
                running = list(zip(self.requests, calls[begin : begin + len(self.requests)], strict=False))
                try:
                    for request, call in running:
                        request.start_async([each.numpy() for each in call], share_inputs=True)
                finally:
                    for request, _ in running:
                        request.wait()
                for request, _ in running:
                    answers.append([torch.from_numpy(each.data.copy()) for each in request.output_tensors])
        return answers


def streams() -> int:
    """How many calls are answered at a time."""
    return min(torch.get_num_threads(), STREAMS)


def _forward(network: nn.Module, spec: NetworkSpec, asked: GraphInputs, names: Sequence[str]) -> Callable[..., Any]:
    """The network as a function of its inputs' tensors and its weights', all of them float32."""
    from torch.nn.utils.stateless import _reparametrize_module

    low = {name: each.float() for name, each in network.named_buffers() if each.dtype == torch.bfloat16}

    def forward(inputs: Sequence[Tensor], values: Sequence[Tensor]) -> Any:
        weights = dict(zip(names, values, strict=True))
        with _reparametrize_module(network, {**weights, **low}, tie_weights=True):
            return spec.forward(network, **spec.filled(asked.inputs(inputs)))

    return forward


def _error(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The largest difference, of the largest value; infinite where the shapes differ, or it is no number."""
    largest = 0.0
    for mine, other in zip(ours, theirs, strict=True):
        if mine.shape != other.shape:
            return float("inf")
        error = float((mine - other).abs().max() / other.abs().max().clamp(min=1e-12))
        largest = max(largest, error if error == error else float("inf"))
    return largest


def _check_attention(network: nn.Module) -> None:
    """Raises NotServed for attention by keys of words and of picture side by side (DeepFloyd IF's and unCLIP's):
    OpenVINO takes them for keys that are kept from step to step, and its compiler ends the process."""
    processors = (type(getattr(module, "processor", None)).__name__ for module in network.modules())
    if any(name.startswith("AttnAddedKV") for name in processors):
        raise NotServed("it attends to words and picture at once")


def _converted(forward: Callable[..., Any], inputs: Sequence[Tensor], values: Sequence[Tensor]) -> Any:
    """OpenVINO's model of the function; its outputs are flat."""
    from torch.utils._pytree import tree_leaves

    class Function(torch.nn.Module):
        def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
            return tuple(tree_leaves(forward(given[: len(inputs)], given[len(inputs) :])))

    openvino, every = library(), (*inputs, *values)
    shapes = [openvino.PartialShape(list(each.shape)) for each in every]
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of tracing shapes, which never change here
        model = openvino.convert_model(Function().eval(), example_input=every, input=shapes)
    if len(model.inputs) != len(every):
        raise NotServed("its graph has other inputs than it is told")
    return model


def _place(network: nn.Module, spec: NetworkSpec, asked: GraphInputs, weights: Weights) -> Path:
    """Where the graph is kept: under a hash of all that it is made of, apart from the weights' values."""
    from sfumato.picture import home

    found = hashlib.sha256()
    versions = [version(name) for name in ("sfumato", "torch", "diffusers", "transformers", "openvino")]
    found.update(
        repr((FORMAT, versions, asked.kind, asked.rows, list(weights.named), _described(spec.forward))).encode()
    )
    for name, module in network.named_modules():
        plain = {key: value for key, value in sorted(vars(module).items()) if isinstance(value, (*_PLAIN, tuple))}
        objects = {key: type(value).__name__ for key, value in sorted(vars(module).items()) if key not in plain}
        found.update(repr((name, type(module).__qualname__, type(module).__module__, plain, objects)).encode())
    for name, buffer in network.named_buffers():
        found.update(name.encode() + buffer.detach().float().cpu().contiguous().numpy().tobytes())
    return home() / "openvino" / f"{found.hexdigest()[:40]}.xml"


_PLAIN = (bool, int, float, str)


def _described(function: Any) -> Any:
    """A function's code, and the plain values that it holds."""
    function = getattr(function, "__wrapped__", function)
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    held = [each if isinstance(each, (*_PLAIN, tuple, list)) else _described(each) for each in cells]
    code = getattr(function, "__code__", None)
    return (
        getattr(function, "__module__", ""),
        getattr(function, "__qualname__", type(function).__qualname__),
        None if code is None else hashlib.sha256(code.co_code).hexdigest(),
        held,
    )


def _read(place: Path) -> Any:
    """The graph that is kept there; None where there is none that can be read."""
    if not place.is_file():
        return None
    try:
        os.utime(place)
        return library().Core().read_model(str(place))
    except Exception:
        return None


def _write(model: Any, place: Path) -> None:
    """Keeps a graph, whole or not at all; where nothing can be written, not at all."""
    with suppress(OSError, RuntimeError):
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f"{place.stem}-{os.getpid()}-{get_ident()}.xml")
        library().save_model(model, str(draft), compress_to_fp16=False)
        draft.with_suffix(".bin").replace(place.with_suffix(".bin"))
        draft.replace(place)
        _shrink(place.parent)


def _shrink(folder: Path) -> None:
    """Deletes the graphs that were used longest ago, until the others are no larger than CACHE together."""
    left = CACHE
    for path in sorted(folder.glob("*.xml"), key=lambda path: path.stat().st_mtime, reverse=True):
        both = [each for each in (path, path.with_suffix(".bin")) if each.is_file()]
        left -= sum(each.stat().st_size for each in both)
        if left < 0:
            for each in both:
                each.unlink(missing_ok=True)


def library() -> Any:
    """OpenVINO, which is asked not to report its use. Raises ImportError where it is not installed."""
    import sys

    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
