"""Families of models x what can be done with them: ours, and whether stock diffusers has a pipeline for it.

Run: python benchmarks/families.py [NAME ...]

Every family is a tiny stock pipeline of random weights (tests/stock), saved as a folder and read by `sfumato.load`. For
each cell is printed whether ours runs, or the sentence that refuses it, and whether diffusers has a pipeline that does
the same. The first column also says the largest difference, in deviations, between our latents and the stock
pipeline's from the same noise; where no figure stands, the family's test in tests/formats measures it.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))
import stock as families
from stock.compare import error, ran, shown, stock
from stock.edits import half, photo

import sfumato
from sfumato import Inferred, Inverted, IPAdapter, LoRA, Outside, SDEdit
from sfumato.control import ControlNet
from sfumato.guide import Distilled
from sfumato.picture import BadInput

STEPS = 3


class Family:
    """A tiny stock pipeline, its folder, and ours of it."""

    def __init__(self, name: str, module: Any, place: Path) -> None:
        self.name, self.stock, self.size, self.call = name, module.build(), module.SIZE, dict(module.CALL)
        self.folder = place / name
        self.stock.save_pretrained(self.folder)
        self.pipe = sfumato.load(self.folder)
        self.can = self.pipe.capabilities
        self.picture, self.mask = photo(self.size), half(self.size)

    @property
    def said(self) -> dict[str, Any]:
        """What a picture needs to be told."""
        words = {"prompt": "a red hat"} if self.can.text else {}
        label = {"label": 0} if self.can.classes else {}
        looked = {"images": [self.picture]} if self.can.references else {}
        return {**words, **label, **looked, "steps": STEPS, "width": self.size[0], "height": self.size[1], "seed": 1}

    def paint(self, **options: Any) -> Image.Image:
        return self.pipe(**{**self.said, **options}).image

    @property
    def network(self) -> Any:
        return self.pipe.stage.networks[self.pipe.stage.painter]


def text(family: Family) -> str:
    family.paint()
    try:
        found = _difference(family)
    except Exception:  # a pipeline that takes other arguments: its test in tests/formats walks it
        return "runs"
    return f"runs, {found:.0e}" if found < 1e-3 else "runs"


def _difference(family: Family) -> float:
    """Unguided, from the same noise, at stock's own steps."""
    width, height = family.size
    scale = family.call.get("guidance_scale", 1.0)
    told = [Distilled(scale)] if family.can.distilled else []
    flow = "Flow" in type(family.stock.scheduler).__name__
    walk = {} if flow else {"sampler": "ddim", "times": "trailing"}
    options = {**family.said, "guidance": told, **walk}
    start, end = ran(family.pipe, options.pop("prompt", ""), **options)
    off = {} if family.can.distilled else {"guidance_scale": 1.0}
    asked = {**family.call, **off, "true_cfg_scale": 1.0, "num_inference_steps": STEPS, "latents": start}
    taken = signature(type(family.stock).__call__).parameters
    asked = {name: value for name, value in {**asked, "width": width, "height": height}.items() if name in taken}
    return error(shown(family.pipe, end), stock(family.stock, "a red hat", **asked))


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


def controlnet(family: Family) -> str:
    from diffusers import ControlNetModel, FluxControlNetModel, SD3ControlNetModel

    torch.manual_seed(0)
    folder, kind = family.folder.with_name(f"{family.name}-controlnet"), type(family.network).__name__
    net: Any
    if kind == "UNet2DConditionModel" and "residuals" in family.can.controls:
        taken = signature(ControlNetModel.__init__).parameters
        config = {**family.network.config, "in_channels": family.pipe.stage.space.channels}
        config |= {"conditioning_embedding_out_channels": (8, 16), "num_class_embeds": None}
        net = ControlNetModel(**{name: value for name, value in config.items() if name in taken})
    elif kind == "FluxTransformer2DModel":
        taken = signature(FluxControlNetModel.__init__).parameters
        config = {**family.network.config, "num_layers": 1, "num_single_layers": 1}
        config["in_channels"] = 4 * family.pipe.stage.space.channels
        net = FluxControlNetModel(**{name: value for name, value in config.items() if name in taken})
    elif kind == "SD3Transformer2DModel":
        options = {"num_extra_conditioning_channels": 0, "load_weights_from_transformer": False}
        net = SD3ControlNetModel.from_transformer(family.network, num_layers=1, **options)
    else:
        raise BadInput(f"ControlNets of a {kind} are not read yet")
    net.save_pretrained(folder)
    family.paint(controls=[ControlNet(family.picture, folder)])
    return "runs"


def lora(family: Family) -> str:
    from safetensors.torch import save_file

    network, prefix = family.network, "unet" if "unet" in family.pipe.stage.networks else "transformer"
    layers = {name: m for name, m in network.named_modules() if isinstance(m, torch.nn.Linear) and "attn" in name}
    if not layers:
        return "-"
    name, layer = next(iter(layers.items()))
    torch.manual_seed(0)
    tensors = {
        f"{prefix}.{name}.lora_A.weight": torch.randn(2, layer.in_features),
        f"{prefix}.{name}.lora_B.weight": torch.randn(layer.out_features, 2),
    }
    file = family.folder.with_name(f"{family.name}-lora.safetensors")
    save_file(tensors, file)
    family.paint(adapters=[LoRA(file) * 0.5])
    return "runs"


def ip_adapter(family: Family) -> str:
    kind = type(family.network).__name__
    if kind != "UNet2DConditionModel" or "image tokens" not in family.can.controls:
        raise BadInput(f"image prompts of a {kind} are not read yet")
    from control.conftest import save_ip_adapter

    folder = family.folder.with_name(f"{family.name}-ip")
    save_ip_adapter(family.network, folder)
    family.paint(controls=[IPAdapter(family.picture, folder)])
    return "runs"


def _kept(family: Family, painted: Image.Image) -> bool:
    half_way = family.size[0] // 2
    box = (0, 0, half_way, family.size[1])
    return painted.convert("RGB").crop(box).tobytes() == family.picture.crop(box).tobytes()


CELLS: dict[str, tuple[Callable[[Family], str], tuple[str, ...]]] = {
    "text to image": (text, ("",)),
    "image to image": (image_to_image, ("Img2Img",)),
    "inpainting": (inpainting, ("Inpaint", "Inpainting", "Fill")),
    "instruction, masked": (instruction, ("EditInpaint", "KontextInpaint", "InpaintEdit")),
    "inversion": (inversion, ("Inversion",)),
    "DiffEdit": (diffedit, ("DiffEdit",)),
    "ControlNet": (controlnet, ("ControlNet",)),
    "LoRA": (lora, ()),
    "IP-Adapter": (ip_adapter, ()),
}
"""What is tried, and how a stock pipeline of it is called behind its family's name."""


def theirs(family: Family, cell: str) -> bool:
    """Whether stock diffusers has a pipeline of the family that does it, by its name or by a method of it."""
    import diffusers

    if cell == "LoRA":
        return hasattr(family.stock, "load_lora_weights")
    if cell == "IP-Adapter":
        return hasattr(family.stock, "load_ip_adapter")
    base = type(family.stock).__name__.removesuffix("Pipeline")
    return any(f"{base}{end}Pipeline" in dir(diffusers) for end in CELLS[cell][1])


def main(names: list[str]) -> int:
    warnings.simplefilter("ignore")
    ran = cells = stocks = 0
    with tempfile.TemporaryDirectory() as place:
        for each in pkgutil.iter_modules(families.__path__):
            module = importlib.import_module(f"stock.{each.name}")
            if not hasattr(module, "NAME") or (names and each.name not in names):
                continue
            family = Family(each.name, module, Path(place))
            print(f"\n{each.name}")
            for cell, (trial, _) in CELLS.items():
                try:
                    found = trial(family)
                except BadInput as refused:
                    found = f"no: {refused}"
                if found == "-":
                    continue
                has = theirs(family, cell)
                cells, ran, stocks = cells + 1, ran + found.startswith("runs"), stocks + has
                print(f"  {cell:20} {found[:90]:90} {'stock has one' if has else 'stock has none'}", flush=True)
    print(f"\n{ran} of {cells} cells run; stock diffusers has a pipeline for {stocks}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
