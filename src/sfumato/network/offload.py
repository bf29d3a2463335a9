"""Weights that are where a network computes only while it does: of one network at a time, or of one layer.

| offload | on the device while it is called | peak memory there |
|---|---|---|
| `none` | all networks, always | the sum of the parts |
| `parts` | the network that is called | the largest part |
| `layers` | the layer that is called | the largest layer |

What is not there lies in the computer's memory (for a GPU), or in its file (on a CPU), from which it is mapped into
memory without a copy where its number type is that of the run, and cast otherwise. The weights are the same, so no
picture changes by a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sfumato.element.sentence import nearest
from sfumato.lazy import torch
from sfumato.network.turns import calling
from sfumato.picture.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor, nn

OFFLOADS = ("none", "parts", "layers")
Source = Callable[[str], "Tensor"]
"""A weight by its name in the network, in any number type and place."""

_KEPT = "_offloaded"  # the attribute of a module whose weights come and go
_ALONE: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()


def check_offload(name: str) -> str:
    """`name`; `BadInput` names the known ones."""
    if name not in OFFLOADS:
        raise BadInput(
            f"There is no offload called {name!r}{nearest(name, OFFLOADS)}; choose one of {', '.join(OFFLOADS)}."
        )
    return name


class Shelf:
    """The networks of one model, of which one is on the device. Threads that call them wait for each other."""

    def __init__(self, device: str, layers: bool = False) -> None:
        self.device, self.layers, self.lock = device, layers, RLock()
        self.networks: list[Offloaded] = []

    def take(self, network: nn.Module, source: Source | None = None) -> None:
        """Puts a network's weights away until it is called. source: where they are then; this computer's memory where
        there is none."""
        kept = Offloaded(self, network, source or _memory(network))
        self.networks.append(kept)
        for module in network.modules():
            vars(module)[_KEPT] = kept
            for name, buffer in module._buffers.items():
                module._buffers[name] = None if buffer is None else buffer.to(self.device)
            if self.layers and _own(module):
                module.register_forward_pre_hook(kept.before)
                module.register_forward_hook(kept.after, always_call=True)
            kept.leave(module)
        if not self.layers:
            network.register_forward_pre_hook(kept.before)
        if self.device == "cpu":
            give_back()


class Offloaded:
    """One network of a shelf.

    A weight is put away by giving its Parameter object other data: the object stays, so whatever was put in its place
    meanwhile (a LoRA's tensor) is left alone. On the CPU a weight that is away is NaN everywhere: reading it by mistake
    is heard.
    """

    def __init__(self, shelf: Shelf, network: nn.Module, source: Source) -> None:
        self.shelf, self.source = shelf, source
        self.network = network
        self.names = {id(weight): name for name, weight in network.named_parameters()}
        self.weights = list(network.parameters())  # keeps the ids true
        self.held: dict[nn.Module, int] = {}
        self.away = {id(weight): _nothing(weight) if shelf.device == "cpu" else weight.data for weight in self.weights}
        self.there: set[int] = set()

    def __deepcopy__(self, known: Any) -> Offloaded:
        """A copy of a network keeps its weights to itself: copy it while they are at hand."""
        return self

    def before(self, module: nn.Module, inputs: Any) -> None:
        if self.shelf.layers:
            self.bring(module)
        else:
            self.enter(self.network, recorded(inputs))

    def after(self, module: nn.Module, inputs: Any, answer: Any) -> None:
        if not recorded(answer):
            self.leave(module)

    def bring(self, module: nn.Module) -> None:
        """Gives a module's own weights their values."""
        for weight in _own(module):
            name = self.names.get(id(weight))
            if name is not None and id(weight) not in self.there:
                with torch.no_grad():
                    weight.data = self.source(name).to(self.shelf.device, weight.dtype)
                self.there.add(id(weight))

    def leave(self, module: nn.Module) -> None:
        """Puts a module's own weights away, unless they are held."""
        if module in self.held:
            return
        for weight in _own(module):
            if id(weight) in self.names:
                weight.data = self.away[id(weight)].to(weight.dtype)
                self.there.discard(id(weight))

    def enter(self, module: nn.Module, graph: bool = False) -> None:
        """Brings a module and all within it; where networks take turns, the others leave, unless a graph is recorded
        that will ask for their weights again."""
        if not self.shelf.layers and not graph:
            leaving = [each for each in self.shelf.networks if each is not self and not each.held and each.there]
            for other in leaving:
                for each in other.network.modules():
                    other.leave(each)
            if leaving and self.shelf.device == "cpu":
                give_back()
        for each in module.modules():
            self.bring(each)

    @contextmanager
    def hold(self, module: nn.Module, graph: bool = False) -> Iterator[None]:
        """Inside, the weights of a module and of all within it are there."""
        modules = list(module.modules())
        with self.shelf.lock:
            self.enter(module if self.shelf.layers else self.network, graph)
            for each in modules:
                self.held[each] = self.held.get(each, 0) + 1
            try:
                yield
            finally:
                for each in modules:
                    self.held[each] -= 1
                    if not self.held[each]:
                        del self.held[each]
                    if self.shelf.layers and not graph:
                        self.leave(each)


def give_back() -> None:
    """Lets the system have the memory of weights that are away: glibc keeps what was freed among its own, for blocks
    as large as a text encoder's layers too, once it saw some of the size come and go (mallopt(3), M_MMAP_THRESHOLD)."""
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


@cache
def _libc() -> Any:
    """The C library of this process; None where there is none by that name (Windows)."""
    import ctypes

    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):
        return None


def one_at_a_time(network: nn.Module) -> None:
    """Lets threads that call a network wait for each other: for one whose weights change while it is called."""
    _ALONE[network] = RLock()


@contextmanager
def at_hand(module: nn.Module) -> Iterator[None]:
    """Inside, a module's weights can be read, and those of all within it: for whoever reads or changes weights."""
    kept = vars(module).get(_KEPT)
    with calling(module), (_ALONE.get(module) or nullcontext()) if kept is None else kept.hold(module):
        yield


@contextmanager
def called(network: nn.Module, inputs: Any = ()) -> Iterator[None]:
    """Inside, a network, or a layer of one, can be called with inputs; a whole network's layers come and go by
    themselves."""
    with calling(network), _there(network, inputs):
        yield


def _there(network: nn.Module, inputs: Any) -> AbstractContextManager[Any]:
    kept = vars(network).get(_KEPT)
    if kept is None:
        return _ALONE.get(network) or nullcontext()
    if kept.shelf.layers and network is kept.network:
        return kept.shelf.lock
    return kept.hold(network, recorded(inputs))


def recorded(tensors: Any) -> bool:
    """Whether a graph leads through one of these tensors."""
    if isinstance(tensors, torch.Tensor):
        return torch.is_grad_enabled() and tensors.requires_grad
    return isinstance(tensors, tuple | list) and any(map(recorded, tensors))


def from_files(network: nn.Module, files: list[Path]) -> Source | None:
    """Where a network's weights lie in safetensors files; None if they are not found there one by one: an older file
    calls them otherwise, or a library joins several into one."""
    from safetensors import safe_open

    if not files or any(file.suffix != ".safetensors" for file in files):
        return None
    keys: dict[str, tuple[str, torch.dtype]] = {}
    aliases: dict[int, list[str]] = {}
    for name, weight in network.named_parameters(remove_duplicate=False):
        aliases.setdefault(id(weight), []).append(name)
    with ExitStack() as stack:  # a file's table of contents is read once, not for every weight
        opened = {file: stack.enter_context(safe_open(file, "pt")) for file in files}
        place = {key: file for file, each in opened.items() for key in each.keys()}  # noqa: SIM118
        shapes = {key: opened[file].get_slice(key).get_shape() for key, file in place.items()}
        for first, weight in network.named_parameters():
            key = _key(aliases[id(weight)], shapes)
            if key is None or shapes[key] != list(weight.shape):
                return None
            if not _same(opened[place[key]].get_tensor(key), weight):
                return None
            keys[first] = key, weight.dtype

    def read(name: str) -> Tensor:
        key, dtype = keys[name]
        with safe_open(place[key], "pt") as file:
            return file.get_tensor(key).to(dtype)

    return read


OLD = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
"""How the first autoencoders' files call what diffusers renamed."""


def _key(names: list[str], shapes: Mapping[str, Any]) -> str | None:
    """What a file calls a weight: as the network does, as it did once, or with another beginning."""
    once = [name.replace(new, old) for name in names for new, old in OLD.items() if new in name]
    for name in (*names, *once):
        if name in shapes:
            return name
        ends = [key for key in shapes if key.endswith(f".{name}") or name.endswith(f".{key}")]
        if len(ends) == 1:
            return ends[0]
    return None


def _same(stored: Tensor, weight: Tensor) -> bool:
    """Whether the first values are the same, cast as the network's are."""
    mine = weight.detach().flatten()[:8]
    return torch.equal(stored.flatten()[:8].to(mine.dtype), mine)


def _memory(network: nn.Module) -> Source:
    weights: dict[str, Tensor] = {name: weight.data for name, weight in network.named_parameters()}
    return weights.__getitem__


def _own(module: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in module._parameters.values() if weight is not None]


def _nothing(weight: Tensor) -> Tensor:
    """A tensor of a weight's shape that takes no memory."""
    value = float("nan") if weight.is_floating_point() else 0
    return torch.full((), value, dtype=torch.float32).to(weight.dtype).expand(weight.shape)
