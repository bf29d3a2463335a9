"""How networks of diffusers and transformers are read from their files, and what is said when they can't be."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable

ENDINGS = (".safetensors", ".bin")
SHOWN = 4  # names of weights in one sentence


def variant_of(place: Path, stem: str, what: str) -> str | None:
    """Which weights of a part are read: the plain ones, or, where there is nothing else, the first variant."""
    found: dict[str, None] = {}
    for ending in ENDINGS:
        for path in sorted(place.glob(f"{stem}*{ending}")):
            rest = path.name.removeprefix(stem).removesuffix(ending)  # "", ".fp16", "-00001-of-00002", or both
            found.setdefault(rest.split("-")[0].strip("."), None)
    if not found and stem == "model":
        return variant_of(place, "pytorch_model", what)
    if not found:
        raise BadInput(f"There are no weights of the {what}: {stem}.safetensors is missing.")
    check_files(place, stem, what)
    return None if "" in found else next(iter(found))


def check_files(place: Path, stem: str, what: str) -> None:
    """Raises BadInput for a file of weights that was cut short or is none."""
    from safetensors import SafetensorError, safe_open

    for path in place.glob(f"{stem}*.safetensors"):
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise BadInput(
                f"The {what} can't be read: {path.name} is damaged or incomplete ({printable(error, 150)}); copy or "
                "download it again."
            ) from None


def frozen(network: torch.nn.Module) -> Any:
    """The network, of whose weights nothing is learned: `requires_grad_(False)` in a third of its time."""
    left = [network]
    while left:
        module = left.pop()
        left.extend(child for child in module._modules.values() if child is not None)
        for weight in module._parameters.values():
            if weight is not None:
                weight.requires_grad_(False)
    return network


def check_weights(info: Mapping[str, Any], what: str) -> None:
    """Raises BadInput where weights are missing, left over or of other shapes: libraries fill in random ones."""
    for key, said in (
        ("missing_keys", "lacks weights, which would be random"),
        ("mismatched_keys", "has weights of other shapes than its config says"),
        ("unexpected_keys", "has weights that nothing uses"),
    ):
        names = [str(name[0] if isinstance(name, tuple) else name) for name in info.get(key) or ()]
        if key == "unexpected_keys":
            names = [name for name in names if not name.endswith("position_ids")]  # a buffer that old files kept
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise BadInput(
                f"The {what} {said}: {printable(', '.join(sorted(names)[:SHOWN]), 300)}{more}. Its file is not of the "
                "network that its config describes."
            )
    if errors := info.get("error_msgs"):
        raise BadInput(f"The {what} does not fit its config: {printable(next(iter(errors)), 200)}")


def reason(error: Exception) -> str:
    """What went wrong, and what to do about it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = printable(lines[0], 200)
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "out of memory" in str(error).lower():
        return "there is not enough memory for it."
    return f"{said}."


@contextmanager
def hushed() -> Iterator[None]:
    """No lines and progress bars of the libraries' own: what matters of them is said here in sentences."""
    with quiet_libraries(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """The same without warnings, which others give as well. Within another it is free: each time it is begun and ended,
    Python asks every logger there is."""
    import diffusers
    import transformers

    libraries = (diffusers.utils.logging, transformers.utils.logging)
    before = [library.get_verbosity() for library in libraries]
    if min(before) > logging.CRITICAL:
        yield
        return
    hub = logging.getLogger("huggingface_hub")
    level, hub.disabled = hub.disabled, True
    for library in libraries:
        library.set_verbosity(logging.CRITICAL + 1)
        library.disable_progress_bar()
    try:
        yield
    finally:
        hub.disabled = level
        for library, verbosity in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            library.enable_progress_bar()
