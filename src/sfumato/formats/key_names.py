"""Where the tensors of diffusers' networks stand in a single file: one mapping, read in both directions.

A naming is a function from a tensor's name in the network to a `NamedPiece`. Reading takes a file's tensors apart,
writing puts them together: both go through `laid_out`, so that one can't know what the other doesn't.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from sfumato.formats.tensor_file import Shape, TensorFile
from sfumato.picture.errors import BadInput, name_of, printable

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 4  # names in one sentence


class NamedPiece(NamedTuple):
    """key: of the tensor in the file. turn: how it stands there: as a 1 x 1 "convolution" of what is a matrix here,
    "transposed", or with its halves "swapped" (shift and scale); "again" is a second name of a tensor;
    "identity" stands in no file and is the matrix 1. place: which it is of several that are stacked there, as queries,
    keys and values are."""

    key: str
    turn: str = ""
    place: int = 0


Naming = Callable[[str], NamedPiece]


def laid_out(shapes: Mapping[str, Shape], naming: Naming) -> dict[str, list[tuple[str, str]]]:
    """The keys of a file, each with the names and turns of the network's tensors that are stacked there, in order."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    for name in shapes:
        key, turn, place = naming(name)
        found.setdefault(key, []).append((place, name, turn))
    return {key: [(name, turn) for _, name, turn in sorted(pieces)] for key, pieces in found.items()}


def shape_there(shapes: Mapping[str, Shape], pieces: list[tuple[str, str]]) -> Shape:
    """The shape in the file of what the network has as these pieces."""
    name, turn = pieces[0]
    shape = shapes[name]
    if not shape:
        return shape
    if turn == "transposed":
        return shape[::-1]
    if turn == "convolution":
        return (*shape, 1, 1)
    return (sum(_rows(shapes, pieces)), *shape[1:])


def _rows(shapes: Mapping[str, Shape], pieces: list[tuple[str, str]]) -> list[int]:
    """How many rows of a file's tensor each of its pieces has."""
    return [shapes[name][0] for name, turn in pieces if turn != "again"]


def read_tensors(file: TensorFile, prefix: str, shapes: Mapping[str, Shape], naming: Naming) -> dict[str, Tensor]:
    """The tensors of a network of these shapes. Raises BadInput for those that are missing or of other shapes."""
    laid = laid_out(shapes, naming)
    state: dict[str, Tensor] = {}
    for key in [key for key, [(_, turn), *_] in laid.items() if turn == "identity"]:
        import torch

        (name, _), *_ = laid.pop(key)
        state[name] = torch.eye(*shapes[name])
    missing = [prefix + key for key in laid if prefix + key not in file.shapes]
    if missing:
        raise BadInput(f"{name_of(file.path)} lacks {listed(missing)}, which its family has.")
    for key, pieces in laid.items():
        wanted, found = shape_there(shapes, pieces), file.shapes[prefix + key]
        if found != wanted and not (pieces[0][1] == "convolution" and found == wanted[:2]):
            raise BadInput(
                f"{name_of(file.path)} has {printable(prefix + key, 120)} in the shape {_shape(found)}, where its "
                f"family has {_shape(wanted)}."
            )
        whole, rows = file[prefix + key], _rows(shapes, pieces) if wanted else []
        parts = whole.split(rows) if len(rows) > 1 else (whole,) * len(pieces)
        for part, (name, turn) in zip(parts, pieces, strict=True):
            state[name] = _turned(part, turn, shapes[name])
    return state


def left_over(file: TensorFile, prefix: str, shapes: Mapping[str, Shape], naming: Naming) -> list[str]:
    """The file's names with that beginning that no tensor of a network of these shapes has."""
    laid = laid_out(shapes, naming)
    return [name for name in file.shapes if name.startswith(prefix) and name[len(prefix) :] not in laid]


def write_tensors(state: Mapping[str, Tensor], prefix: str, naming: Naming) -> dict[str, Tensor]:
    """The tensors of a network as they stand in a file."""
    import torch

    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    written = {}
    for key, pieces in laid_out(shapes, naming).items():
        shape = shape_there(shapes, pieces)
        once = [(name, turn) for name, turn in pieces if turn != "again"]
        turned = [state[name] if len(once) > 1 else _turned(state[name], turn, shape) for name, turn in once]
        written[prefix + key] = (torch.cat(turned) if len(turned) > 1 else turned[0]).contiguous()
    return written


def listed(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{printable(', '.join(sorted(names)[:SHOWN]), 400)}{more}"


def _turned(tensor: Tensor, turn: str, shape: Shape) -> Tensor:
    """Each turn is its own way back."""
    if turn == "transposed":
        return tensor.T
    if turn == "swapped":
        import torch

        return torch.cat([*reversed(tensor.chunk(2))])  # a list, by which blocks keep their type
    return tensor.reshape(shape) if turn == "convolution" else tensor


def _shape(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "of a number"
