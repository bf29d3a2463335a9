"""Weights in float8 with a scale beside each, as ComfyUI's files of large models keep them: W = weight x scale.

Older files call the scale `scale_weight` and hold a tensor scaled_fp8 to say so; newer ones call it `weight_scale`, and
have `comfy_quant` beside it, the layer's format as JSON in bytes. Scales of a layer's input (`scale_input`,
`input_scale`) are for products in float8, which aren't done here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sfumato.formats.tensor_file import TensorFile
from sfumato.picture.errors import BadInput, name_of, printable

if TYPE_CHECKING:
    from torch import Tensor

SCALES = (".scale_weight", ".weight_scale")
BESIDE = (*SCALES, ".scale_input", ".input_scale", ".comfy_quant")
MARKER = "scaled_fp8"
FORMATS = ("float8_e4m3fn", "float8_e5m2")


def unscaled(file: TensorFile) -> TensorFile:
    """The file without scales, its float8 weights times theirs, each when it is asked for; another file as it is.

    Raises BadInput for a layer of another format.
    """
    if file.loaded:  # a pickle or blocks
        return file
    beside = {name for name in file.shapes if name.endswith(BESIDE) or name.split(".")[-1] == MARKER}
    if not beside:
        return file
    for name in beside:
        if name.endswith(".comfy_quant"):
            _check(file, name)
    scales = {f"{name.rpartition('.')[0]}.weight": name for name in beside if name.endswith(SCALES)}
    for weight, scale in scales.items():
        if weight not in file.shapes or not file.types[weight].startswith("F8"):
            raise BadInput(
                f"{name_of(file.path)} holds {printable(scale, 100)} without a weight in float8 that it belongs to: "
                "take the file in bfloat16."
            )
    shapes = {name: shape for name, shape in file.shapes.items() if name not in beside}
    types = {name: kind for name, kind in file.types.items() if name not in beside}
    return replace(file, shapes=shapes, types=types, loaded=Scaled(file, scales))


class Scaled(Mapping[str, "Tensor"]):
    """Weights in float32, by their names; `scales` are the names of their scales in the file."""

    def __init__(self, file: TensorFile, scales: Mapping[str, str]) -> None:
        self.file, self.scales = file, scales

    def __getitem__(self, name: str) -> Tensor:
        weight, scale = self.file[name].float(), self.file[self.scales[name]].float()
        if scale.numel() > 1:  # one a row
            scale = scale.reshape(-1, *[1] * (weight.ndim - 1))
        return weight * scale

    def __iter__(self) -> Iterator[str]:
        return iter(self.scales)

    def __len__(self) -> int:
        return len(self.scales)


def _check(file: TensorFile, name: str) -> None:
    try:
        told = json.loads(bytes(file[name].tolist()))["format"]
    except (ValueError, KeyError, TypeError):
        told = "a format that can't be read"
    if told not in FORMATS:
        raise BadInput(
            f"{name_of(file.path)} holds {printable(name.removesuffix('.comfy_quant'), 100)} as {printable(told, 40)}; "
            f"accepted are {' and '.join(FORMATS)}: take the file in float8, bfloat16 or GGUF."
        )
