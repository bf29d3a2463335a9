"""The study of six controls of one drawing: networks that were never trained are the floor, maps are the thesis'."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import study
from sfumato.cli.app import run_command
from sfumato.control import ControlNet, T2IAdapter, make_map
from sfumato.formats.convert_control import convert_control
from sfumato.picture import BadInput
from sfumato.study import sketch
from sfumato.study.control_nets import nets_for
from sfumato.study.study import Model

SMALL = ["each=2", "steps=1", "kinds=[canny, depth]", "guidance=1"]


@pytest.fixture(scope="module")
def nets(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fresh/, a ControlNet as it begins; loud/, one that says something; union/, of two maps, as it begins."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    from sfumato.train.tasks.controlnet_training import union

    home = tmp_path_factory.mktemp("nets")
    unet = UNet2DConditionModel.from_pretrained(tiny_model / "unet")
    torch.manual_seed(0)
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16))
    net.save_pretrained(home / "fresh")
    for zero in (*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(zero.weight, std=0.3)
    net.save_pretrained(home / "loud")
    union(unet, (8, 16), 2).save_pretrained(home / "union")
    (home / "union" / "maps.json").write_text(json.dumps({"0": "depth", "1": "canny"}))
    return home


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "table.csv", newline="") as file:
        return list(csv.DictReader(file))


def asked(tiny_model: Path, out: Path, *more: str) -> Path:
    return study.run("sketch", model=str(tiny_model), out=out, settings=[*SMALL, *more], progress=False)


def test_networks_that_were_never_trained_are_the_floor_and_so_is_weight_0(tiny_model, nets, tmp_path, capfd):
    line = ["study", "sketch", "--model", tiny_model, "-o", tmp_path / "a", "--net", f"canny={nets / 'fresh'}",
            "--net", f"depth={nets / 'union'}", *(part for each in SMALL for part in ("--set", each))]  # fmt: skip
    assert run_command([str(each) for each in line]) == 0, capfd.readouterr().err
    rows = table(tmp_path / "a")
    assert {row["control"] for row in rows} == {"without", "canny", "depth"}
    assert {row["map"] for row in rows} == {"canny", "depth", "the drawing"}
    assert all(row["value"] == row["without"] for row in rows)
    assert all((tmp_path / "a" / f"{name}.png").stat().st_size for name in ("maps", "results", "deviations"))
    asked(tiny_model, tmp_path / "b", f"nets=['canny={nets / 'loud'}']", "weight=0")
    assert all(row["value"] == row["without"] for row in table(tmp_path / "b"))
    asked(tiny_model, tmp_path / "b", f"nets=['canny={nets / 'loud'}']")  # "without" is kept
    loud = [row for row in table(tmp_path / "b") if row["control"] == "canny"]
    assert any(row["value"] != row["without"] for row in loud)


def test_without_networks_the_maps_are_drawn_and_a_sentence_says_how_to_train_some(tiny_model, tmp_path):
    page = asked(tiny_model, tmp_path).read_text()
    assert "sfumato train mini-controlnet --set map=canny, and give its export as --net canny=FOLDER" in page
    assert (tmp_path / "maps.png").is_file()
    assert {row["control"] for row in table(tmp_path)} == {"without"}


def test_pictures_of_the_drawing_itself_go_all_the_way_and_those_without_a_control_none(tiny_model):
    seen = sketch.prepare(lambda *_: None, Model.named(str(tiny_model)), None, ("canny", "softedge-classical"))
    assert np.array_equal(seen["maps"][0], make_map(Image.fromarray(seen["picture"]), "canny"))
    kinds, noise = ("canny", "softedge-classical"), np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8)
    floor, ours, true = (
        sketch.measure(lambda *_: None, seen, {"pictures": pictures}, kinds)
        for pictures in (noise, np.stack([seen["coded"]] * 3), np.stack([seen["picture"]] * 3))
    )
    for kind in kinds:
        assert sketch.closed(kind, floor, floor) == 0
        assert sketch.closed(kind, ours, floor) == pytest.approx(1)
    assert true["canny: edge-f1"][0] == true["ssim"][0] == 1
    assert ours["ssim"][0] == pytest.approx(ours["ssim, coded"])


def test_networks_as_they_are_named(tiny_model, nets, tmp_path):
    model = Model.named(str(tiny_model))
    found = nets_for(("canny", "depth", "normal"), [str(nets / "union")], model)
    assert {kind: net.mode for kind, net in found.items()} == {"canny": 1, "depth": 0}
    picture = Image.new("RGB", (8, 8))
    assert found["canny"].shown(picture, 0.5) == ControlNet(picture, str(nets / "union"), 0.5, mode=1)
    (tmp_path / "config.json").write_text('{"_class_name": "T2IAdapter"}')
    adapter = nets_for(("depth",), [f"depth={tmp_path}"], model)["depth"]
    assert adapter.shown(picture) == T2IAdapter(picture, str(tmp_path))
    convert_control(nets / "fresh", file := tmp_path / "canny.safetensors")
    single = nets_for(("canny",), [f"canny={file}"], model)["canny"]
    assert single.shown(picture) == ControlNet(picture, str(file))
    assert nets_for(("canny",), [], model) == {}
    for said, sentence in (
        (f"{nets / 'fresh'}", "a folder alone is that of a union"),
        ("cany=F", "did you mean 'canny'"),
        (f"depth={nets / 'fresh'}", "this study shows canny, not depth"),
        ("canny=nowhere", "There is no controlnet called 'nowhere'"),
    ):
        with pytest.raises(BadInput, match=sentence):
            nets_for(("canny",), [said], model)
    with pytest.raises(BadInput, match="no setting of this study"):
        study.run("swiss-roll", settings=["nets=['canny=F']"], out=tmp_path, progress=False)
