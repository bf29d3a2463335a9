"""Control maps: their formulas, their conventions, the networks that read them, and maps made where they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import sfumato
from sfumato.cli.app import run_command
from sfumato.control import ControlMap, ControlNet, IPAdapter, T2IAdapter, make_map
from sfumato.control.maps import Canny, Depth, LineArt, Normal, OpenPose, Segmentation, SoftEdge
from sfumato.control.maps.class_colours import ADE20K, spread_colours
from sfumato.control.maps.normal import normals_of
from sfumato.control.skeleton import COCO, COLOURS, JOINTS, LIMBS, draw_skeleton, joints_from
from sfumato.data import vignettes
from sfumato.network.depth_network import DepthNetwork
from sfumato.network.edge_network import EdgeNetwork, PixelDifference
from sfumato.network.keypoint_network import KeypointNetwork, peaks
from sfumato.network.normal_network import NormalNetwork
from sfumato.network.r2u_net import AttentionGate, AttentionR2UNet, RecurrentResidual
from sfumato.picture import BadInput
from sfumato.recipe.written import control


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """A woman in the town, 96 x 96."""
    scene = vignettes.scene(5, 0).with_attributes(subject="woman", place="town", color="none", style="flat")
    return Image.fromarray(vignettes.draw(scene, 96, truth=False).image)


# what is drawn


def test_canny_is_opencv_s_white_on_black(photo):
    grey = np.asarray(photo.convert("L"))
    for low, high in ((100, 200), (20, 60)):
        map_ = np.asarray(Canny(low, high)(photo))
        assert map_.shape == (96, 96, 3)
        assert (map_[..., 0] == cv2.Canny(grey, low, high)).all()
    assert set(np.unique(map_)) == {0, 255}
    assert (map_ == 255).mean() < 0.4


@pytest.mark.parametrize("name", ["softedge-classical", "lineart-classical"])
def test_the_classical_edges_are_white_where_a_disc_ends(name):
    y, x = np.mgrid[:64, :64] - 31.5
    far = np.hypot(x, y)
    disc = Image.fromarray(np.where(far < 20, 40, 220).astype(np.uint8)).convert("RGB")
    map_ = np.asarray(make_map(disc, name).convert("L")).astype(float)
    assert map_[abs(far - 20) < 1.5].mean() > 100 + map_[far > 28].mean()
    plain = make_map(Image.new("RGB", (64, 64), "grey"), "softedge-classical")
    assert not np.asarray(plain).any()


def test_normals_of_a_slope_and_of_a_ball():
    size, slope = 65, 0.4
    across = np.tile(np.arange(size) / (size - 1), (size, 1))  # nearer to the right: it faces left
    n = normals_of(across, relief=slope * (size - 1) / size, smooth=0)[20:40, 20:40]
    assert np.allclose(n, np.array((-slope, 0, 1)) / np.hypot(slope, 1), atol=1e-9)
    red, green, blue = (int(v) for v in np.asarray(Normal().draw(n, (20, 20)))[5, 5])
    assert red > 150
    assert green in (127, 128)
    assert blue > 200
    down = normals_of(across.T, relief=1.0, smooth=0)[30, 30]  # nearer below, as the ground is: it faces up, green
    assert down[1] > 0.6
    y, x = np.mgrid[:129, :129] - 64.0
    inside = np.hypot(x, y) < 40
    ball = np.sqrt(np.maximum(60**2 - x**2 - y**2, 0))
    n = normals_of(ball / 129, relief=1.0, smooth=0)
    exact = np.stack([x, -y, ball], -1) / 60
    assert np.degrees(np.arccos(np.clip((n * exact).sum(-1), -1, 1)))[inside].max() < 1.2


def test_normals_of_a_network_and_how_steep_they_are_made(tmp_path, photo):
    network = NormalNetwork(widths=(8, 8))
    facing = torch.tensor([-1.2, 0.4, 2.0])  # of any length; the last layer begins without weights
    with torch.no_grad():
        network.head[-1].bias.copy_(facing.repeat_interleave(4))
    network.save(tmp_path / "normal", torch.float32)
    found = Normal(net=str(tmp_path / "normal")).read(photo)
    assert np.allclose(found, facing.numpy() / np.linalg.norm(facing), atol=1e-6)
    steep = np.array([-1.2 * 3, 0.4 * 3, 2.0])
    found = Normal(net=str(tmp_path / "normal"), relief=3.0, smooth=0.05).read(photo)
    assert np.allclose(found, steep / np.linalg.norm(steep), atol=1e-6)
    with torch.no_grad():
        network.head[-1].bias.copy_(
            torch.tensor([1.0, 0.0, -1.0]).repeat_interleave(4)
        )  # seen from behind: no slope is
    network.save(tmp_path / "behind", torch.float32)
    assert (Normal(net=str(tmp_path / "behind")).read(photo) @ (1, 0, 0) > 0.99).all()


def test_normals_of_a_network_of_depth(tmp_path, photo):
    torch.manual_seed(0)
    DepthNetwork(widths=(8, 8)).save(tmp_path / "depth", torch.float32)
    nearness = Depth(net=str(tmp_path / "depth")).read(photo)
    level = (nearness - nearness.min()) / (nearness.max() - nearness.min())
    assert np.allclose(Normal(net=str(tmp_path / "depth"), relief=0.5).read(photo), normals_of(level, 0.5), atol=1e-6)


def test_depth_is_white_where_it_is_near():
    near = np.full((8, 8), 3.0)
    near[:, 4:] = 5.0
    drawn = np.asarray(Depth().draw(near, (8, 8)))
    assert (drawn[:, :4] == 0).all()
    assert (drawn[:, 4:] == 255).all()
    assert not np.asarray(Depth().draw(np.full((8, 8), 2.0), (8, 8))).any()


def test_the_skeleton_has_openpose_s_colours_and_order():
    assert [COLOURS[i] for i in (0, 1, 2, 3, 12, 17)] == [
        (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (0, 0, 255), (255, 0, 85),
    ]  # fmt: skip
    assert len(JOINTS) == len(COLOURS) == 18
    assert [(JOINTS[a], JOINTS[b]) for a, b in (LIMBS[0], LIMBS[6], LIMBS[12])] == [
        ("neck", "right_shoulder"), ("neck", "right_hip"), ("neck", "nose"),
    ]  # fmt: skip
    assert len(LIMBS) == 17
    places = np.stack(np.divmod(np.arange(18), 5), -1)[:, ::-1] * 100 + 56.0  # far from one another
    joints = np.concatenate([places, np.ones((18, 1))], 1)
    drawn = np.asarray(draw_skeleton(joints, (512, 512)))
    for (x, y), colour in zip(places.astype(int), COLOURS, strict=True):
        assert tuple(drawn[y, x]) == colour
    two = np.zeros((18, 3))
    two[1], two[2] = (156, 256, 1), (356, 256, 1)
    drawn = np.asarray(draw_skeleton(two, (512, 512)))
    assert tuple(drawn[256, 256]) == (153, 0, 0)  # limb 0, 0.6 of red
    assert not drawn[:240].any()
    assert not np.asarray(draw_skeleton(np.zeros((18, 3)), (64, 64))).any()


def test_coco_s_keypoints_become_openpose_s():
    places = {name: (i, 2 * i) for i, name in enumerate(COCO)}
    joints = joints_from(places)
    assert (joints[:, 2] == 1).all()
    left, right = places["left_shoulder"], places["right_shoulder"]
    assert joints[1].tolist() == [(left[0] + right[0]) / 2, (left[1] + right[1]) / 2, 1]
    for i in set(range(18)) - {1}:
        assert tuple(joints[i, :2]) == places[JOINTS[i]]
    assert joints_from({"left_shoulder": (3, 4)})[:, 2].sum() == 1  # no neck of one shoulder


def test_vignettes_joints_are_openpose_s():
    from sfumato.evaluate.adherence import Drawn

    scene = vignettes.scene(5, 0).with_attributes(subject="woman", place="town", color="none")
    joints = OpenPose().truth(Drawn.of(scene, 128))
    known = vignettes.draw(scene, 128).keypoints
    for name in ("nose", "left_eye", "right_shoulder"):
        assert tuple(joints[JOINTS.index(name), :2]) == known[name][:2]
    assert joints[JOINTS.index("left_eye"), 0] > joints[JOINTS.index("right_eye"), 0]  # her own left
    assert joints[JOINTS.index("left_knee"), 2] == 0


def test_the_palettes():
    assert ADE20K.shape == (150, 3)
    assert [tuple(ADE20K[i]) for i in (0, 2, 126, 149)] == [(120, 120, 120), (6, 230, 230), (255, 0, 122), (92, 0, 255)]
    for count in (33, 64, 150):
        colours = spread_colours(count).astype(int)
        assert tuple(colours[0]) == (0, 0, 0)
        apart = np.abs(colours[:, None] - colours[None]).max(-1)[~np.eye(count, dtype=bool)]
        assert apart.min() >= (85 if count <= 64 else 36)


# networks


@pytest.mark.parametrize("difference", EdgeNetwork.ORDER)
def test_pixel_differences_are_what_they_say(difference):
    torch.manual_seed(0)
    layer = PixelDifference(1, difference).double()
    w, x = layer.weight[0, 0].detach(), torch.randn(1, 1, 9, 9, dtype=torch.float64)
    ring = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    at = lambda dy, dx: x[0, 0, 4 + dy, 4 + dx]  # noqa: E731
    weigh = lambda dy, dx: w[1 + dy, 1 + dx]  # noqa: E731
    wanted = {
        "plain": sum(weigh(*p) * at(*p) for p in [(0, 0), *ring]),
        "central": sum(weigh(*p) * (at(*p) - at(0, 0)) for p in ring),
        "angular": sum(weigh(*p) * (at(*p) - at(*q)) for p, q in zip(ring, ring[1:] + ring[:1], strict=True)),
        "radial": sum(weigh(*p) * (at(2 * p[0], 2 * p[1]) - at(*p)) for p in ring),
    }[difference]
    assert layer(x)[0, 0, 4, 4].item() == pytest.approx(wanted.item())


def test_peaks_are_found_between_pixels():
    from sfumato.train.objective.map_losses import bumps

    joints = torch.tensor([[[20.3, 11.8, 1.0], [5.5, 30.0, 1.0], [0.0, 0.0, 0.0]]])
    found = peaks(bumps(joints, 40, 48, 1.2))
    assert torch.allclose(found[0, :2, :2], joints[0, :2, :2], atol=0.1)
    assert torch.isnan(found[0, 2, :2]).all()


def test_r2u_net_by_its_papers():
    torch.manual_seed(0)
    block, x = RecurrentResidual(3, 8), torch.randn(1, 3, 6, 6)
    wanted = entered = block.enter(x)
    for layer in block.recurrent:

        def f(z, layer=layer):
            return torch.relu(layer.norm(layer.conv(z)))

        h = f(wanted)
        h = f(wanted + h)
        wanted = f(wanted + h)
    assert torch.allclose(block(x), entered + wanted)
    gate, skip, coarse = AttentionGate(8), torch.randn(1, 8, 6, 6), torch.randn(1, 8, 6, 6)
    gate.psi.weight.data.zero_()
    for bias, share in ((40.0, 1.0), (0.0, 0.5), (-40.0, 0.0)):
        gate.psi.bias.data.fill_(bias)
        assert torch.allclose(gate(skip, coarse), share * skip)


NETWORKS: dict[str, Any] = {
    "edges": (EdgeNetwork, ("contours", "lines"), (8, 8, 8, 8)),
    "depth": (DepthNetwork, ("nearness",), (8, 16)),
    "keypoints": (KeypointNetwork, ("nose", "neck", "left_shoulder"), (8, 16)),
    "segmentation": (AttentionR2UNet, ("void", "sky", "skin"), (8, 16)),
}
READS = {
    "edges": [SoftEdge, LineArt],
    "depth": [Depth, Normal],
    "keypoints": [OpenPose],
    "segmentation": [Segmentation],
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_of_one_s_own_reads_pictures_of_any_size(kind, tmp_path, photo):
    network, names, widths = NETWORKS[kind]
    torch.manual_seed(0)
    made = network(names, widths, 32)
    made.save(tmp_path / "net")
    again = network.load(tmp_path / "net")
    x = torch.rand(2, 3, 30, 45)
    outs = again(x)
    assert all(out.shape == (2, len(names), 30, 45) for out in outs)
    assert torch.allclose(outs[-1], made.half().float()(x)[-1], atol=1e-3)
    for each in READS[kind]:
        assert each(net=tmp_path / "net")(photo.crop((0, 0, 96, 70))).size == (96, 70)
    other = next(each for name, (each, _, _) in NETWORKS.items() if name != kind)
    with pytest.raises(BadInput, match="describes another network"):
        other.load(tmp_path / "net")


def test_a_network_that_is_not_there_is_refused(photo, tmp_path):
    with pytest.raises(BadInput, match="There is no network called"):
        Depth(net=tmp_path / "nothing")(photo)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(BadInput, match="holds no network of transformers for DepthEstimation"):
        Depth(net=tmp_path)(photo)


VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}


def depth_anything(folder: Path) -> Any:
    import transformers as t

    config = t.DepthAnythingConfig(
        backbone_config=t.Dinov2Config(**VIT, image_size=32, out_indices=[1, 2], reshape_hidden_states=False),
        reassemble_hidden_size=16, patch_size=8, neck_hidden_sizes=[8, 8], reassemble_factors=[2, 1],
        fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    t.DPTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return t.DepthAnythingForDepthEstimation(config)


def segformer(folder: Path) -> Any:
    import transformers as t

    config = t.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[7, 3],
        strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16, num_labels=150,
    )  # fmt: skip
    t.SegformerImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return t.SegformerForSemanticSegmentation(config)


def vitpose(folder: Path) -> Any:
    import transformers as t

    backbone = t.VitPoseBackboneConfig(
        **{**VIT, "patch_size": [8, 8]}, image_size=[64, 48], out_indices=[2], num_experts=1, part_features=8
    )
    t.VitPoseImageProcessorPil(size={"height": 64, "width": 48}).save_pretrained(folder)
    return t.VitPoseForPoseEstimation(t.VitPoseConfig(backbone_config=backbone, num_labels=17))


def test_networks_of_transformers_from_a_folder(photo, tmp_path):
    torch.manual_seed(0)
    made = {}
    for make in (depth_anything, segformer, vitpose):
        made[make.__name__] = make(tmp_path / make.__name__).eval()
        made[make.__name__].save_pretrained(tmp_path / make.__name__)
    import transformers as t

    wide = photo.resize((120, 96))
    folder = tmp_path / "depth_anything"
    pixels = t.DPTImageProcessorPil.from_pretrained(folder)(images=wide, return_tensors="pt").pixel_values
    with torch.no_grad():
        wanted = made["depth_anything"](pixels).predicted_depth[:, None]
    wanted = torch.nn.functional.interpolate(wanted, (96, 120), mode="bicubic", align_corners=False)[0, 0]
    assert np.allclose(Depth(net=folder).read(wide), wanted.numpy(), atol=1e-5)
    assert Normal(net=folder)(wide).size == (120, 96)

    drawn = np.asarray(Segmentation(net=tmp_path / "segformer")(wide))
    assert drawn.shape == (96, 120, 3)
    assert {tuple(c) for c in drawn.reshape(-1, 3)} <= {tuple(c) for c in ADE20K}

    joints = OpenPose(net=tmp_path / "vitpose", least=0.0).read(wide)
    processor = t.VitPoseImageProcessorPil.from_pretrained(tmp_path / "vitpose")
    boxes = [[[0.0, 0.0, 120.0, 96.0]]]
    with torch.no_grad():
        heatmaps = made["vitpose"](**processor(images=wide, boxes=boxes, return_tensors="pt"))
    found = processor.post_process_pose_estimation(heatmaps, boxes=boxes)[0][0]["keypoints"]
    for i, (x, y) in enumerate(found.tolist()):
        inside = 0 <= x < 120 and 0 <= y < 96
        assert joints[JOINTS.index(COCO[i])].tolist() == pytest.approx([x, y, 1] if inside else [0, 0, 0])
    assert joints[:, 2].sum() > 5


# maps made where they are shown


def test_the_map_is_made_of_the_picture_at_the_size_of_the_run(attentive, nets, photo):
    pipe = sfumato.load(attentive)
    small = photo.resize((32, 32), Image.Resampling.LANCZOS)
    for made, net in ((ControlNet, "crossed"), (T2IAdapter, "t2i")):
        shown = pipe("a boat", controls=[made(Canny(50, 100)(small), nets[net])], steps=2, seed=1).image
        result = pipe("a boat", controls=[made(photo, nets[net], map=Canny(50, 100))], steps=2, seed=1)
        assert result.image.tobytes() == shown.tobytes()
        assert (
            result.image.tobytes() != pipe("a boat", controls=[made(photo, nets[net])], steps=2, seed=1).image.tobytes()
        )
        again = sfumato.Recipe.from_json(result.recipes[0].to_json())
        assert again.controls[0].map == Canny(50, 100)  # pyright: ignore[reportAttributeAccessIssue]
        assert pipe.run(again).image.tobytes() == shown.tobytes()


def test_a_map_is_written_behind_its_control(tmp_path, photo):
    photo.save(path := tmp_path / "a.png")
    plain = f"controlnet:picture={path},net=F"
    assert control(plain).map is None
    assert control(f"{plain},map=depth,weight=0.5") == ControlNet(photo, "F", 0.5, map="depth")
    assert control(f"{plain},map=canny:low=50+high=150,guess=true").map == Canny(50, 150)
    assert control(f"{plain},map=softedge-classical").map == SoftEdge(classical=True)
    with pytest.raises(BadInput, match=r"map 'cany' is unknown .did you mean 'canny'..: accepted are canny, depth"):
        control(f"{plain},map=cany")
    with pytest.raises(BadInput, match="map canny: 'lo' is unknown"):
        control(f"{plain},map=canny:lo=3")
    with pytest.raises(BadInput, match="map is 3: give a kind of map"):
        ControlNet(photo, "F", map=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="'map' is unknown"):
        IPAdapter(photo, "F", map="canny")  # pyright: ignore[reportCallIssue]


def test_the_command(tmp_path, monkeypatch, capfd, photo):
    monkeypatch.chdir(tmp_path)
    photo.save("a.png")
    assert run_command(["control", "a.png", "--as", "canny:low=40,high=90"]) == 0
    assert Image.open("out/a-canny.png").tobytes() == Canny(40, 90)(photo).tobytes()
    assert (
        run_command(["control", "a.png", "--as", "softedge-classical", "--size", "48x32", "-o", "b.png", "--json"]) == 0
    )
    assert json.loads(capfd.readouterr().out.splitlines()[-1]) == {
        "path": "b.png", "map": "softedge-classical", "size": [48, 32],
    }  # fmt: skip
    assert run_command(["control", "a.png", "--as", "edges"]) == 2
    assert f"accepted are {', '.join(ControlMap.registry)}" in capfd.readouterr().err
    assert run_command(["control", "a.png", "--as", "canny:low=-1"]) == 2
    assert "low is -1.0: give a number from 0 to 2000" in capfd.readouterr().err
    assert run_command(["control", "none.png", "--as", "canny"]) == 2


def test_a_network_on_the_hub_comes_with_its_weights(photo, tmp_path, monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.utils import filter_repo_objects

    from sfumato.control.maps.estimate import FILES
    from sfumato.zoo.find import HUB_FILES

    wanted = ["config.json", "preprocessor_config.json", "model.safetensors", "model.safetensors.index.json"]
    assert list(filter_repo_objects([*wanted, "pytorch_model.bin", "onnx/model.onnx"], allow_patterns=FILES)) == wanted
    shards = [f"diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    shards.append("diffusion_pytorch_model.safetensors.index.json")
    assert list(filter_repo_objects(shards, allow_patterns=HUB_FILES)) == shards
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = tmp_path / "models--somebody--depth"
    torch.manual_seed(0)
    DepthNetwork(widths=(8, 8)).save(place / "snapshots" / commit, torch.float32)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    here = Depth(net=str(place / "snapshots" / commit)).read(photo)
    assert np.array_equal(Depth(net="somebody/depth").read(photo), here)
    with pytest.raises(BadInput, match="could not be fetched from the Hub"):
        Depth(net="somebody/else").read(photo)
