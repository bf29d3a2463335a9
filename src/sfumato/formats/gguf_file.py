"""GGUF files: the weights of a transformer in blocks of a few bits each (ggml's formats), as city96 writes them.

A file of FLUX.1, Stable Diffusion 3, Qwen-Image or Z-Image holds the transformer alone, under its makers' names; what
lies in no block is float32, float16 or bfloat16. Blocks stay blocks in memory: diffusers' `GGUFLinear` takes those of a
layer apart while it is called. The library gguf reads them (`pip install 'sfumato[quantized]'`). T5 in such a file is
called otherwise (`sfumato.formats.gguf_text`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.gguf_text import encoder_name
from sfumato.formats.tensor_file import Shape, TensorFile
from sfumato.network.quantized import GGUF, plain
from sfumato.picture.errors import BadInput, name_of, printable

if TYPE_CHECKING:
    import torch

PLAIN = ("F32", "F16", "BF16")


def open_gguf(path: Path) -> TensorFile:
    """The tensors of a .gguf, in the shapes that their numbers have. Raises BadInput for a damaged file, and where the
    library that reads it is not installed."""
    try:
        from gguf import GGUFReader
    except ImportError:
        raise BadInput(
            f"{name_of(path)} is read by the library gguf: install it with pip install 'sfumato[quantized]'."
        ) from None
    try:
        reader = GGUFReader(path)
        tensors = {encoder_name(str(each.name)): each for each in reader.tensors}
        shapes = {name: _shape(reader, each) for name, each in tensors.items()}
        types = {name: str(each.tensor_type.name) for name, each in tensors.items()}
    except Exception as error:  # a stranger's file
        raise BadInput(f"{name_of(path)} is damaged ({printable(error, 120)}): copy or fetch it again.") from None
    return TensorFile(
        path, shapes, types, loaded=Blocks(path, tensors, shapes), sizes={n: int(t.n_bytes) for n, t in tensors.items()}
    )


def _shape(reader: Any, tensor: Any) -> Shape:
    """ggml's shapes are the other way around; one that ggml could not hold is noted beside the tensor."""
    noted = reader.get_field(f"comfy.gguf.orig_shape.{tensor.name}")
    shape = tuple(map(int, reversed(tensor.shape) if noted is None else noted.contents()))
    if prod(shape) != int(tensor.n_elements):
        raise ValueError(f"{tensor.name} has {tensor.n_elements} numbers and the shape {shape}")
    return shape


class Blocks(Mapping[str, Any]):
    """The tensors of a file, each read when it is asked for: as diffusers' `GGUFParameter` what lies in blocks."""

    def __init__(self, path: Path, tensors: Mapping[str, Any], shapes: Mapping[str, Shape]) -> None:
        self.path, self.tensors, self.shapes = path, tensors, shapes

    @cached_property
    def readable(self) -> Any:
        from diffusers.quantizers.gguf.utils import SUPPORTED_GGUF_QUANT_TYPES

        return SUPPORTED_GGUF_QUANT_TYPES

    def __getitem__(self, name: str) -> torch.Tensor:
        import torch
        from diffusers.quantizers.gguf.utils import GGUFParameter

        tensor, shape = self.tensors[name], self.shapes[name]
        kind, data = tensor.tensor_type, torch.from_numpy(tensor.data.copy())
        if kind.name == "BF16":
            return data.view(torch.bfloat16).reshape(shape)
        if kind.name in PLAIN:
            return data.reshape(shape)
        if kind not in self.readable:
            raise BadInput(
                f"{name_of(self.path)} has {printable(name, 120)} in blocks of the type {printable(kind.name, 20)}, "
                f"which diffusers doesn't read: accepted are {', '.join(each.name for each in self.readable)}."
            )
        found: Any = GGUFParameter(data, quant_type=kind)  # pyright: ignore[reportCallIssue]
        return found if tuple(found.quant_shape) == shape else plain(found).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def quantized_network(made: Any, folder: Path, network: Any, state: dict[str, Any], dtype: torch.dtype) -> Any:
    """The network of the class `made` with such tensors, computing in `dtype`, by diffusers' own loader.

    network: an empty one, by which layers are told from what is added or multiplied and has no blocks.
    """
    import torch
    from diffusers import GGUFQuantizationConfig

    from sfumato.network.gguf_layers import with_blocks

    layers = {f"{name}.weight" for name, each in network.named_modules() if isinstance(each, torch.nn.Linear)}
    ready = {name: value if name in layers else plain(value) for name, value in state.items()}
    if not hasattr(made, "from_single_file"):  # transformers'
        read = with_blocks(network, ready, dtype)
    else:
        read = made.from_single_file(
            ready,
            config=str(folder),
            quantization_config=GGUFQuantizationConfig(compute_dtype=dtype),
            torch_dtype=dtype,
            local_files_only=True,
        )
    vars(read)[GGUF] = True
    return read
