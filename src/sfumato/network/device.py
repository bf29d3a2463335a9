"""Where networks run, by torch's names."""

from __future__ import annotations

from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable


def check_device(name: str) -> str:
    """The device called `name`. Raises BadInput where torch knows none of that name, or this machine has none."""
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise BadInput(
            f"There is no device called {printable(repr(name), 60)}: give cpu, cuda or cuda:0, or mps."
        ) from None
    if device.type in ("cpu", "meta"):
        return str(device)
    backend = getattr(torch, device.type, None)
    count = backend.device_count() if backend is not None and backend.is_available() else 0
    if (device.index or 0) >= count:
        has = f"{count} of them" if count else "none"
        raise BadInput(f"The device {device} is not here: torch {torch.__version__} finds {has}. Choose cpu.")
    return str(device)
