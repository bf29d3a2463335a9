"""The built-in networks of controls are obeyed, and are what stock diffusers reads."""

from __future__ import annotations

import json

import pytest
import torch

import sfumato
from sfumato.control import ControlNet
from sfumato.data.vignettes import scene
from sfumato.evaluate.adherence import Drawn, run_adherence
from sfumato.formats.control_network import read_controlnet, read_t2i_adapter
from sfumato.network import t2i_adapter
from sfumato.network.controlnet import spec
from sfumato.zoo import place

FOLDER = place("mini-controlnet")
ADAPTERS = [path.parent for path in sorted(place("mini-t2i-adapter").glob("*/config.json"))]
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the miniature is not in this checkout")


@pytest.mark.parametrize("control", ["depth", "t2i-adapter:map=depth"])
def test_without_a_network_a_map_is_obeyed_by_the_built_in_one(control: str):
    """More than half of the way from pictures without it to true ones, of four pictures."""
    report = run_adherence("mini", [control], count=4, steps=8, json=True)
    assert report["adherence"][0]["closed"] > 0.5


def test_without_a_network_the_built_in_image_prompt_hands_its_picture_on():
    """Of four pictures, painted without words: a fifth of the way at least, and light above all."""
    report = run_adherence("mini", ["ip-adapter"], count=4, steps=8, json=True)
    assert not report["words"]
    assert report["adherence"][0]["closed"] > 0.2
    assert {row["metric"]: row["closed"] for row in report["adherence"]}["attribute-light"] > 0.4


def test_two_maps_at_once_and_weight_0():
    drawn = Drawn.of(scene(7, 3), 128)
    pipe, options = sfumato.load("mini"), {"steps": 2, "seed": 3}
    plain = pipe("a boat", **options).image
    pictures = [plain]
    for kinds in (["canny"], ["canny", "depth"]):
        controls = [ControlNet(drawn.picture, map=kind) for kind in kinds]
        pictures.append(pipe("a boat", controls=controls, **options).image)
    assert len({picture.tobytes() for picture in pictures}) == 3
    assert pipe("a boat", controls=[ControlNet(drawn.picture, map="canny") * 0.0], **options).image == plain


def test_stock_diffusers_reads_it_and_answers_the_same():
    from diffusers import ControlNetUnionModel

    stock = ControlNetUnionModel.from_pretrained(FOLDER, torch_dtype=torch.float32)
    names = json.loads((FOLDER / "maps.json").read_text())
    assert [names[str(i)] for i in range(len(names))] == [
        *("canny", "softedge", "lineart", "depth", "normal", "openpose", "segmentation"),
    ]
    generator = torch.Generator().manual_seed(0)
    x, text = (torch.randn(size, generator=generator) for size in ((1, 12, 16, 16), (1, 48, 192)))
    t, hint, asked = torch.tensor([500.0]), torch.rand(1, 3, 128, 128, generator=generator), torch.zeros(1, len(names))
    asked[0, 3] = 1
    ours = read_controlnet(FOLDER)
    told = {"x": x, "t": t, "text": text, "map": hint, "mode": 3, "pooled": None, "sizes": None}
    with torch.no_grad():
        theirs, middle = stock(x, t, text, [hint], asked, [3], return_dict=False)
        skips, core = spec(ours).forward(ours, **told)
    for a, b in zip((*skips, core), (*theirs, middle), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
        assert float(a.abs().max()) > 1e-3


@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda folder: folder.name)
def test_stock_diffusers_reads_an_adapter_and_answers_the_same(folder):
    from diffusers import T2IAdapter

    stock = T2IAdapter.from_pretrained(folder, torch_dtype=torch.float32)
    hint, ours = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)), read_t2i_adapter(folder)
    with torch.no_grad():
        pairs = list(zip(t2i_adapter.spec(ours).forward(ours, map=hint), stock(hint), strict=True))
    assert len(pairs) == 3
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
        assert float(a.abs().max()) > 1e-3


@pytest.mark.parametrize("folder", [FOLDER, FOLDER.parent / "mini-t2i-adapter"], ids=lambda folder: folder.name)
def test_its_files_are_small(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_size < 16 << 20
            assert b"/work" not in path.read_bytes()[:4096] or path.suffix not in (".json", ".md")
