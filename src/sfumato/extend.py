"""The one way to register something of one's own in Python, whatever it is."""

from __future__ import annotations

from typing import Any, TypeVar

from sfumato.element import Element
from sfumato.picture.errors import BadInput, printable

T = TypeVar("T")


def register(thing: T, name: str = "") -> T:
    """Makes `thing` known by `name` in recipes, on the command line and in help texts, and returns it.

    thing: a `Metric`, a `Study` or a `Format`, under `name`; or the class of a training `Task`, of a `Method` of
    personalization or of a `DataSource`, under the name that its section has (so that `register` is its decorator).
    Samplers, guidances, starts, holds, composites, time grids, adapters and engines are registered by their own
    decorator, `sfumato.element.element`, and are only returned here.

    Raises BadInput for anything else, ValueError for a name that something else has.
    """
    if isinstance(thing, type) and issubclass(thing, Element):
        known = thing in thing.registry.classes.values()
        return thing if known else _refuse(thing, "decorate it, @element(NAME)")  # type: ignore[return-value]
    from sfumato.data.dataset import DataSource
    from sfumato.data.dataset import register as register_data
    from sfumato.evaluate.map_metric import MAP_METRICS, MapMetric
    from sfumato.evaluate.metric import METRICS, Metric
    from sfumato.formats import FORMATS, Format
    from sfumato.study.study import STUDIES, Study
    from sfumato.train.method import Method
    from sfumato.train.method import method as register_method
    from sfumato.train.task import Task
    from sfumato.train.task import register as register_task

    if isinstance(thing, type) and issubclass(thing, Task):
        return register_task(thing)  # type: ignore[return-value]
    if isinstance(thing, type) and issubclass(thing, DataSource):
        return register_data(thing)  # type: ignore[return-value]
    if isinstance(thing, type) and issubclass(thing, Method):
        return register_method(thing)  # type: ignore[return-value]
    kinds: Any = ((MapMetric, MAP_METRICS), (Metric, METRICS), (Study, STUDIES), (Format, FORMATS))
    for kind, registry in kinds:
        if isinstance(thing, kind):
            return registry.add(name, thing) if name else _refuse(thing, f"give the {registry.what}'s name")
    return _refuse(thing, "give a metric, a study, a format, or the class of a task, a method or a data source")


def _refuse(thing: Any, instead: str) -> Any:
    raise BadInput(f"{printable(repr(thing), 80)} can't be registered: {instead}.")
