"""Where networks run, by torch's names."""

from __future__ import annotations

from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable


def check_device(name: str) -> str:
    """The device called `name`; "auto" is the quickest that is here. Raises BadInput where torch knows none of that
    name, or this machine has none."""
    if name == "auto":
        return next((kind for kind in ("cuda", "mps") if _count(kind)), "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise BadInput(
            f"There is no device called {printable(repr(name), 60)}: give cpu, cuda or cuda:0, or mps."
        ) from None
    if device.type in ("cpu", "meta"):
        return str(device)
    count = _count(device.type)
    if (device.index or 0) >= count:
        has = f"{count} of them" if count else "none"
        raise BadInput(f"The device {device} is not here: torch {torch.__version__} finds {has}. Choose cpu.")
    return str(device)


def _count(kind: str) -> int:
    backend = getattr(torch, kind, None)
    return backend.device_count() if backend is not None and backend.is_available() else 0
