"""Registries: the things of one kind by name, whether they are built in, registered in Python or come with a plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from sfumato.element.sentence import nearest
from sfumato.picture.errors import BadInput, printable

T = TypeVar("T")
PLUGINS = "sfumato.plugins"


class Registry(Mapping[str, T], Generic[T]):
    """The things of one kind by name, in the order of their names, or where `ordered` in that of being added.

    what: what one of them is called in a sentence, as "guidance". package: the package whose modules register the
    built-in ones when it is imported, which happens at the first look; None where they are registered otherwise. At the
    first look plugins are loaded too. A name that is not there is a `BadInput` that names what is.
    """

    def __init__(self, what: str, package: str | None = None, *, ordered: bool = False) -> None:
        self.what, self.package, self.ordered = what, package, ordered
        self._things: dict[str, T] = {}
        self._short: dict[str, str] = {}
        self.watchers: list[Callable[[], None]] = []

    def add(self, name: str, thing: T, *, short: str | None = None) -> T:
        """Registers `thing` under `name`, and under a shorter one for command lines.

        Raises ValueError for a name that something else has already.
        """
        for taken in (name, *([short] if short else [])):
            if taken in self._things or taken in self._short:
                raise ValueError(f"There is a {self.what} called {taken!r} already: choose another name.")
        self._things[name] = thing
        if short:
            self._short[short] = name
        for watch in self.watchers:
            watch()
        return thing

    def remove(self, name: str) -> None:
        """Takes a thing out again: its name is unknown afterwards."""
        del self._things[name]
        self._short = {short: other for short, other in self._short.items() if other != name}
        for watch in self.watchers:
            watch()

    def short(self, name: str) -> str:
        """The shortest name of the thing called `name`."""
        return next((short for short, other in self._short.items() if other == name), name)

    def full(self, name: str) -> str:
        """The name that a short one stands for; any other is itself."""
        return self._short.get(name, name)

    def unknown(self, name: object, said: str | None = None) -> BadInput:
        """The sentence about a name that is not there; `said` stands before the name, by default "the" and its kind."""
        names, shown = list(self), printable(repr(name), 60)
        what = f"the {self.what} {shown}" if said is None else f"{said} {shown}".strip()
        return BadInput(f"{what} is unknown{nearest(str(name), names)}: accepted are {', '.join(names)}")

    def __getitem__(self, name: str) -> T:
        self._look()
        try:
            return self._things[self.full(name)]
        except (KeyError, TypeError):
            raise self.unknown(name) from None

    def __contains__(self, name: object) -> bool:
        self._look()
        return isinstance(name, str) and self.full(name) in self._things

    def __iter__(self) -> Iterator[str]:
        self._look()
        return iter(list(self._things) if self.ordered else sorted(self._things))

    def __len__(self) -> int:
        self._look()
        return len(self._things)

    def _look(self) -> None:
        if self.package is not None:
            import_module(self.package)
        load_plugins()


@cache
def load_plugins() -> None:
    """Imports what the entry points `sfumato.plugins` of installed packages name; it registers itself.

    One that fails to load is told as a warning, by name: a stranger's fault must not keep the library from working.
    """
    import warnings

    for point in entry_points(group=PLUGINS):
        try:
            point.load()
        except Exception as error:
            warnings.warn(f"the plugin {point.name} ({point.value}) could not be loaded: {error}", stacklevel=2)
