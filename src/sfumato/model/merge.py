"""Adapters baked into a model: a folder whose weights are those that the adapters would put in their place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from sfumato.adapt import Adapter
from sfumato.adapt.adaptation import Adaptation
from sfumato.adapt.adapter import ALWAYS
from sfumato.formats.weights import weight_files
from sfumato.formats.write import save_network
from sfumato.model.load import load
from sfumato.picture import BadInput
from sfumato.picture.atomic import beside
from sfumato.picture.errors import name_of

NUMBERS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def merge(model: str | Path, adapters: Sequence[Adapter], target: Path) -> Path:
    """Writes the model's folder to `target` with W' = W + sum_i w_i (adapter_i(W) - W) in the place of W, in the number
    types that its weights have.

    Raises BadInput for a target that is there, for a model that is no folder, and for what no weight can hold: words of
    one's own, networks before attention, intervals of time.
    """
    if target.exists():
        raise BadInput(f"{name_of(target)} is there already: name a folder that is not.")
    if not adapters:
        raise BadInput("There is nothing to merge: name a LoRA at least.")
    pipe = load(model, precision="float32")
    folder = pipe.folders[0]
    if len(pipe.stages) > 1 or not (folder / "model_index.json").is_file():
        raise BadInput(f"{pipe.name} is not one model's folder: give one, or convert the single file first.")
    adaptation = Adaptation(pipe.stage.networks, adapters)
    for each in adaptation.bound:
        if each.words or any(each.places.values()) or each.interval != ALWAYS:
            raise BadInput(
                f"{each.name} is more than weights (a word, a network of its own, an interval): add it to a run."
            )
    changed = {change.part for each in adaptation.bound for change in each.changes}
    with beside(target) as made:
        shutil.copytree(folder, made, ignore=lambda _, names: [each for each in names if each.lower() == "readme.md"])
        with adaptation.reading, adaptation.painting(0.5):
            for part in sorted(changed):
                shutil.rmtree(made / part)
                save_network(pipe.stage.networks[part], made / part, _stored(folder, part))
    return target


def _stored(folder: Path, part: str) -> torch.dtype:
    """The number type of a part's weights in its files."""
    from safetensors import safe_open

    for path in weight_files(folder / part):
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as opened:
                return NUMBERS.get(opened.get_slice(next(iter(opened.keys()))).get_dtype(), torch.float32)
    return torch.float32
