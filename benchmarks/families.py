"""Families of models x what can be done with them: ours, and whether stock diffusers has a pipeline for it.

Run: python benchmarks/families.py [NAME ...]

Every family is a tiny stock pipeline of random weights (tests/stock), saved as a folder and read by `sfumato.load`. For
each cell is printed whether ours runs, or the sentence that refuses it, and whether diffusers has a pipeline that does
the same. Where it has one, the largest difference is said, in deviations, between our latents (or what the decoder is
given, or pictures, where stock gives no latents) and the stock pipeline's, from the same noise, over the same grid and
guided as the family is: `parity` of its file in tests/stock, and `stock.beside` for its edits, which their tests in
tests/formats assert. "LoRA" says it with the file read by both. Inversion and DiffEdit's map are compared with the one
pipeline that stock has of them, Stable Diffusion 1's, in tests/edit/test_diffedit_against_stock.py.

"ControlNet" is a network of one of diffusers' classes, of random weights, read from its folder (and PixArt's, of which
there are weights and no class). "image prompt" is a picture that tells what to paint, in the way that there is for the
family: an IP-Adapter, or the reference pictures of models that look at some while they paint (`images=`: FLUX.1
Kontext, FLUX.2, Qwen-Image-Edit, InstructPix2Pix, image variations), which need no further network; either counts once,
an IP-Adapter first. Where diffusers has no class or loader of either there is nothing to compare with: the cell says
"no network", is none that runs, and is counted once more apart.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.utils import logging
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))
import stock as families
from stock import beside, image_prompts
from stock.edits import half, photo

import sfumato
from sfumato import Inferred, Inverted, IPAdapter, LoRA, Outside, SDEdit
from sfumato.control import ControlNet
from sfumato.picture import BadInput

STEPS = 3
NONE = "no network: diffusers has no"


class Family:
    """A tiny stock pipeline, its folder, and ours of it."""

    def __init__(self, name: str, module: Any, place: Path) -> None:
        self.name, self.module, self.stock, self.size = name, module, module.build(), module.SIZE
        self.parity: Callable[[Any, Any], float] | None = getattr(module, "parity", None)
        self.folder = place / name
        self.stock.save_pretrained(self.folder)
        if hasattr(module, "small"):  # reference pictures of few pixels
            module.small(pytest.MonkeyPatch(), 64 * 64)
        self.pipe = sfumato.load(self.folder)
        self.can = self.pipe.capabilities
        self.picture, self.mask = photo(self.size), half(self.size)

    @property
    def said(self) -> dict[str, Any]:
        """What a picture needs to be told."""
        words = {"prompt": "a red hat"} if self.can.text else {}
        label = {"label": 0} if self.can.classes else {}
        prior = not all(stage.paints for stage in self.pipe.stages)  # of words it makes what else is seen in a picture
        looked = {"images": [self.picture]} if self.can.references and not prior else {}
        return {**words, **label, **looked, "steps": STEPS, "width": self.size[0], "height": self.size[1], "seed": 1}

    def paint(self, **options: Any) -> Image.Image:
        return self.pipe(**{**self.said, **options}).image

    @property
    def network(self) -> Any:
        return self.pipe.stage.networks[self.pipe.stage.painter]


def text(family: Family) -> str:
    family.paint()
    return f"runs, {family.parity(family.stock, family.pipe):.0e}" if family.parity else "runs"


def image_to_image(family: Family) -> str:
    family.paint(start=SDEdit(family.picture, 0.6))
    return "runs"


def inpainting(family: Family) -> str:
    painted = family.paint(start=SDEdit(family.picture, 1.0), hold=Outside(family.mask))
    return "runs" if _kept(family, painted) else "runs, and changes what is held"


def instruction(family: Family) -> str:
    """An edit in words of a picture that the model looks at, held outside a mask."""
    if not (family.can.references and family.can.text):
        return "-"
    painted = family.paint(hold=Outside(family.mask, family.picture))
    return "runs" if _kept(family, painted) else "runs, and changes what is held"


def inversion(family: Family) -> str:
    family.paint(start=Inverted(family.picture, 0.6, *(["a boat"] if family.can.text else [])))
    return "runs"


def diffedit(family: Family) -> str:
    if not family.can.text:
        return "-"
    family.paint(start=Inverted(family.picture, 0.6, "a boat"), hold=Inferred("a boat", draws=1))
    return "runs"


def control_network(family: Family) -> Path | None:
    """A folder with a ControlNet of random weights, of the family's own kind and shape; None where there is no such."""
    folder = family.folder.with_name(f"{family.name}-controlnet")
    return None if beside.controlled(family.pipe, folder) is None else folder


def controlnet(family: Family) -> str:
    if (folder := control_network(family)) is None:
        if theirs(family, "ControlNet"):
            return "no: its pipeline with a control has a network of its own, which is not read yet"
        return f"{NONE} ControlNet of a {type(family.network).__name__}"
    family.paint(controls=[ControlNet(family.picture, folder)])
    return "runs"


def lora_file(family: Family) -> Path | None:
    """A file with a LoRA of random weights of one layer of its attention."""
    from safetensors.torch import save_file

    network, prefix = family.network, family.pipe.stage.painter
    linear = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)]
    layers = [(name, layer) for name, layer in linear if "attn" in name or "attention" in name]
    if not layers:
        return None
    name, layer = layers[0]
    torch.manual_seed(0)
    tensors = {
        f"{prefix}.{name}.lora_A.weight": torch.randn(2, layer.in_features),
        f"{prefix}.{name}.lora_B.weight": torch.randn(layer.out_features, 2),
    }
    file = family.folder.with_name(f"{family.name}-lora.safetensors")
    save_file(tensors, file)
    return file


def lora(family: Family) -> str:
    file = lora_file(family)
    if file is None:
        return "-"
    family.paint(adapters=[LoRA(file) * 0.5])
    if family.parity is None or not theirs(family, "LoRA"):
        return "runs"
    family.stock.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="lora")
    family.stock.set_adapters("lora", 0.5)
    with family.pipe.attach(LoRA(file) * 0.5):
        apart = family.parity(family.stock, family.pipe)
    alone = family.parity(family.stock, family.pipe)
    family.stock.unload_lora_weights()
    return f"runs, {apart:.0e}" if alone > 10 * apart else "runs, and this LoRA says nothing"


def image_prompt(family: Family) -> Path | None:
    """A folder with an IP-Adapter of random weights, and its image encoder; None where there is no such."""
    folder = family.folder.with_name(f"{family.name}-ip")
    return folder if image_prompts.save(family.network, folder) else None


def ip_adapter(family: Family) -> str:
    if (folder := image_prompt(family)) is not None:
        family.paint(controls=[IPAdapter(family.picture, folder)])
        return "runs"
    if family.can.references:
        words = {} if all(stage.paints for stage in family.pipe.stages) else {"prompt": ""}  # which a prior reads
        shown = (family.picture, photo(family.size, 1))
        seen = [family.paint(images=[picture], **words).tobytes() for picture in shown]
        return "runs, by images=" if seen[0] != seen[1] else "no: another picture changes nothing"
    return f"{NONE} IP-Adapter of a {type(family.network).__name__}"


def _kept(family: Family, painted: Image.Image) -> bool:
    half_way = family.size[0] // 2
    box = (0, 0, half_way, family.size[1])
    return painted.convert("RGB").crop(box).tobytes() == family.picture.crop(box).tobytes()


CELLS: dict[str, Callable[[Family], str]] = {
    "text to image": text,
    "image to image": image_to_image,
    "inpainting": inpainting,
    "instruction, masked": instruction,
    "inversion": inversion,
    "DiffEdit": diffedit,
    "ControlNet": controlnet,
    "LoRA": lora,
    "image prompt": ip_adapter,
}
"""What is tried."""


def theirs(family: Family, cell: str) -> bool:
    """Whether stock diffusers has a pipeline of the family that does it, by its name or by a method of it."""
    if cell == "LoRA":
        return hasattr(family.stock, "load_lora_weights")
    return cell == "text to image" or beside.pipeline(family.stock, cell) is not None


def compared(family: Family, cell: str) -> str:
    """How far ours ends from stock's, or why that says nothing."""
    if unlike := getattr(family.module, "UNLIKE", {}).get(cell):
        return f", stock's {unlike}"
    if cell not in beside.EDITS or not hasattr(family.module, "guided"):
        return ""
    place = family.folder.with_name(f"{family.name}-{cell.replace(' ', '-')}")
    apart = beside.apart(family.module, family.stock, family.pipe, cell, place)
    return "" if apart is None else f", {apart:.0e}"


def main(names: list[str]) -> int:
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    ran = cells = stocks = none = 0
    with tempfile.TemporaryDirectory() as place:
        for each in pkgutil.iter_modules(families.__path__):
            module = importlib.import_module(f"stock.{each.name}")
            if not hasattr(module, "NAME") or (names and each.name not in names):
                continue
            family = Family(each.name, module, Path(place))
            print(f"\n{each.name}")
            for cell, trial in CELLS.items():
                try:
                    found = trial(family)
                    found += compared(family, cell) if found.startswith("runs") else ""
                except BadInput as refused:
                    found = f"no: {refused}"
                except Exception as failed:
                    found = f"no: {type(failed).__name__}, {failed}"
                if found == "-":
                    continue
                has = theirs(family, cell)
                cells, ran, stocks = cells + 1, ran + found.startswith("runs"), stocks + has
                none += found.startswith(NONE)
                print(f"  {cell:20} {found[:90]:90} {'stock has one' if has else 'stock has none'}", flush=True)
    print(f"\n{ran} of {cells} cells run ({ran / cells:.1%}); stock diffusers has a pipeline for {stocks}.")
    print(f"Without the {none} for which it has no network, {ran} of {cells - none} ({ran / (cells - none):.1%}).")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
