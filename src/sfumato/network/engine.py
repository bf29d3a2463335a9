"""The engines by name: each is a context in which a network call runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from sfumato.network.batch_invariant import RowByRow
from sfumato.picture import BadInput

Engine = Callable[[], AbstractContextManager]

ENGINES: dict[str, Engine] = {"eager": nullcontext, "exact": RowByRow}


def engine(name: str) -> Engine:
    """The engine called `name`; `BadInput` names the known ones."""
    if name not in ENGINES:
        raise BadInput(f"There is no engine called {name!r}; choose one of {', '.join(ENGINES)}.")
    return ENGINES[name]
