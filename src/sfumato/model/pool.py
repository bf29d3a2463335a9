"""Models that were loaded once and are held for whoever asks again: the command line, a page, a server, studies."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

from sfumato.formats.single_file import single_of
from sfumato.formats.weights import weight_files
from sfumato.model.networks import read_stages
from sfumato.network.device import check_device
from sfumato.zoo.files import files_of
from sfumato.zoo.find import find

if TYPE_CHECKING:
    from torch import nn

    from sfumato.formats.parts import Shared
    from sfumato.stage import Stage

SHARE = 0.5  # of the memory of this computer, which models may take unless a pool is told otherwise


class Key(NamedTuple):
    """What stages were read from, and how."""

    folder: Path
    stamp: tuple[tuple[str, int, int], ...]
    engine: str
    precision: str
    device: str
    options: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Held:
    """A model that a pool holds."""

    folder: Path
    stages: tuple[Stage, ...]


class Pool:
    """Models by what they were read from, the least recently used given up first.

    limit: bytes of weights that are held at most; None is half of this computer's memory. One that is larger by itself
    is held alone. Models whose text encoders' files have the same bytes have one. A folder whose files changed is read
    again. Threads may ask at once: a model is read by the first and handed to all.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = int(SHARE * _memory()) if limit is None else limit
        self.shared: Shared = WeakValueDictionary()
        self._held: OrderedDict[Key, Held] = OrderedDict()
        self._table, self._reading = RLock(), Lock()

    def stages(
        self, name: str | Path, engine: str, precision: str, device: str = "cpu", **options: Any
    ) -> tuple[Path, tuple[Stage, ...]]:
        """The folder and the stages of a model, as `read_stages` reads them."""
        folder, device = find(name), check_device(device)
        key = Key(folder.resolve(), _stamp(folder, options.get("vae")), engine, precision, device, _sorted(options))
        if (known := self._known(key)) is not None:
            return folder, known
        with self._reading:
            if (known := self._known(key)) is not None:
                return folder, known
            coming = sum(path.stat().st_size for path in _weights(folder))
            self._shrink(self.limit - coming)
            _, stages = read_stages(name, engine, precision, device, shared=self.shared, **options)
            with self._table:
                self._held[key] = Held(folder, stages)
                self._shrink(self.limit, least=1)
            return folder, stages

    @property
    def models(self) -> list[Path]:
        """The folders of the models that are held, the most recently used last."""
        with self._table:
            return [held.folder for held in self._held.values()]

    @property
    def bytes(self) -> int:
        """Of the weights that are held, those that several models share once."""
        with self._table:
            return _bytes(network for held in self._held.values() for network in _networks(held.stages))

    def clear(self) -> None:
        """Gives up all models; who runs one keeps it."""
        with self._table:
            self._held.clear()

    def _known(self, key: Key) -> tuple[Stage, ...] | None:
        with self._table:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key].stages

    def _shrink(self, limit: int, least: int = 0) -> None:
        with self._table:
            while len(self._held) > least and self.bytes > limit:
                self._held.popitem(last=False)


def _sorted(options: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(options.items(), key=lambda item: item[0]))


def _weights(folder: Path) -> list[Path]:
    single = single_of(folder)
    parts = [path for part in (folder, *folder.iterdir()) if part.is_dir() for path in weight_files(part)]
    return parts if single is None else [*single.files(), *parts]


def _stamp(folder: Path, vae: Path | None) -> tuple[tuple[str, int, int], ...]:
    """The files of a model, their lengths and times of change."""
    files = [path for place in (folder, vae) if place is not None for path in files_of(place)]
    stats = [(str(path), path.stat()) for path in files]
    return tuple((path, each.st_size, each.st_mtime_ns) for path, each in stats)


def _networks(stages: Iterable[Stage]) -> Iterator[nn.Module]:
    return (network for stage in stages for network in stage.networks.values())


def _bytes(networks: Iterable[nn.Module]) -> int:
    """Of the storages of networks' weights and buffers, each once."""
    tensors = [tensor for network in networks for tensor in (*network.parameters(), *network.buffers())]
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def _memory() -> int:
    """Bytes of this computer's memory; 8 GiB where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 8 << 30


POOL = Pool()
"""The one that commands, guidances and studies share."""
