"""Threads that share a network: many may call it at once, and nobody else while other weights stand in for its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Condition, Lock, get_ident
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from torch import nn

_TURNS: WeakKeyDictionary[nn.Module, Turns] = WeakKeyDictionary()
_MAKING = Lock()


class Turns:
    """Of one network: the threads that call it, and the one that changes it for a call, which may call it itself."""

    def __init__(self) -> None:
        self.free = Condition()
        self.callers: dict[int, int] = {}  # calls of each thread, one within the other
        self.changer, self.depth = 0, 0

    @contextmanager
    def calling(self) -> Iterator[None]:
        me = get_ident()
        with self.free:
            self.free.wait_for(lambda: self.changer in (0, me))
            self.callers[me] = self.callers.get(me, 0) + 1
        try:
            yield
        finally:
            with self.free:
                self.callers[me] -= 1
                if not self.callers[me]:
                    del self.callers[me]
                self.free.notify_all()

    @contextmanager
    def changing(self) -> Iterator[None]:
        me = get_ident()
        with self.free:
            self.free.wait_for(lambda: self.changer in (0, me) and not self.callers.keys() - {me})
            self.changer, self.depth = me, self.depth + 1
        try:
            yield
        finally:
            with self.free:
                self.depth -= 1
                if not self.depth:
                    self.changer = 0
                self.free.notify_all()


def calling(network: nn.Module) -> AbstractContextManager[None]:
    """Inside, no other thread changes the network."""
    return _turns(network).calling()


@contextmanager
def changing(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, no other thread calls or changes the networks. They are waited for in one order, so that no two threads
    wait for each other."""
    with ExitStack() as stack:
        for network in sorted(networks, key=id):
            stack.enter_context(_turns(network).changing())
        yield


def _turns(network: nn.Module) -> Turns:
    with _MAKING:
        return _TURNS.setdefault(network, Turns())
