"""What a study is made of: cells that are done once and kept, and a report drawn from what they found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sfumato.element import Registry
from sfumato.zoo.files import stamp
from sfumato.zoo.find import find

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = Mapping[str, Any]
"""What a cell found: arrays by name."""

Tick = Callable[[int, int], None]
"""tick(done, total): how far a cell is."""


@dataclass(frozen=True)
class Model:
    """A model by name, and a stamp of its files: what was found with other weights is not taken for this one's."""

    name: str
    stamp: str

    @classmethod
    def named(cls, name: str) -> Model:
        """Raises BadInput if there is no such model."""
        return cls(name, stamp(find(name)))

    def load(self) -> Any:
        """The pipe; loaded once."""
        from sfumato.model import POOL, load

        return load(self.name, pool=POOL)


@dataclass(frozen=True)
class Cell:
    """One unit of work: work(tick, *results of `needs`, **arguments) -> arrays by name.

    `arguments` (JSON values and `Model`s) is all that the work depends on besides `needs`, which name cells before it:
    the key under which its result is kept is made of them.
    """

    name: str
    work: Callable[..., Result]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """A figure, the name of its file, and what it shows."""

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Report:
    """What a study tells: its figures, the rows of its table, and what this run found, in sentences."""

    figures: Sequence[Drawing]
    rows: Sequence[Mapping[str, Any]]
    found: Sequence[str] = ()


@dataclass(frozen=True)
class Study:
    """A study: what it asks, where that comes from, what to look for; its settings, cells and drawing.

    summary: one line for lists of studies. about: what it asks, in a paragraph. see: what to look for.

    full, quick: settings, of one frozen class. cells(settings, model) lists the units of work, in order;
    draw(settings, results) makes the report of their results by name. takes: how a model is named, None where none is
    looked at; `model` is the name of the default one, None where the study can do without.
    """

    title: str
    summary: str
    source: str
    about: str
    see: Sequence[str]
    full: Any
    quick: Any
    cells: Callable[[Any, Model | None], Sequence[Cell]]
    draw: Callable[[Any, Mapping[str, Result]], Report]
    model: str | None = None
    takes: Callable[[str], Model] | None = None


STUDIES: Registry[Study] = Registry("study", "sfumato.study.catalog")
"""Studies by name; each module of this package that holds one registers it, and so may anybody else."""
