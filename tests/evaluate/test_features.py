"""Feature networks: their names, weights and preprocessing; what is missing is said and never replaced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as nf
from PIL import Image
from safetensors.torch import save_file

from sfumato.data import vignettes
from sfumato.evaluate.features import FEATURES, features
from sfumato.evaluate.features.inception_weights import RESIZE, VARIABLE, read_weights
from sfumato.evaluate.features.resize import bicubic, legacy
from sfumato.evaluate.judge import Judge
from sfumato.network.classifier import Classifier
from sfumato.network.inception import Inception, average, block_c, block_e
from sfumato.picture import BadInput
from sfumato.zoo import ZOO


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    drawn = [vignettes.draw(vignettes.scene(3, i), 64, truth=False).image for i in range(3)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    weights = Inception().state_dict()
    save_file({k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}, path)
    return path


SHAPES = {  # of the standard file
    "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
    "Conv2d_4a_3x3.bn.running_var": (192,),
    "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
    "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
    "Mixed_5d.branch3x3dbl_3.bn.bias": (96,),
    "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
    "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
    "Mixed_6c.branch7x7_3.conv.weight": (192, 160, 7, 1),
    "Mixed_6d.branch7x7dbl_2.conv.weight": (160, 160, 7, 1),
    "Mixed_6e.branch7x7dbl_5.conv.weight": (192, 192, 1, 7),
    "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
    "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
    "Mixed_7b.branch3x3dbl_1.conv.weight": (448, 1280, 1, 1),
    "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
    "Mixed_7c.branch_pool.conv.weight": (192, 2048, 1, 1),
    "fc.weight": (1008, 2048),
    "fc.bias": (1008,),
}


def test_inception_has_the_standard_names_shapes_and_number_of_weights():
    """torchvision's 27,161,264 parameters less the auxiliary classifier's 3,326,696, plus eight classes more."""
    network = Inception()
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert found | SHAPES == found
    assert sum(p.numel() for p in network.parameters()) == 27_161_264 - 3_326_696 + 8 * 2049
    assert len([name for name in found if name.endswith("conv.weight")]) == 94


@torch.no_grad()
def test_branches_are_walked_in_their_order():
    torch.manual_seed(1)
    x = torch.randn(2, 16, 8, 8)
    c = block_c(16, 8).eval()
    m = dict(c.named_children())
    seven = m["branch7x7_3"](m["branch7x7_2"](m["branch7x7_1"](x)))
    double = x
    for i in range(1, 6):
        double = m[f"branch7x7dbl_{i}"](double)
    want = torch.cat([m["branch1x1"](x), seven, double, m["branch_pool"](average(x))], 1)
    assert torch.equal(c(x), want)
    assert c.width == want.shape[1] == 768

    e = block_e(16, average).eval()
    m = dict(e.named_children())
    three, double = m["branch3x3_1"](x), m["branch3x3dbl_2"](m["branch3x3dbl_1"](x))
    parts = [m["branch1x1"](x), m["branch3x3_2a"](three), m["branch3x3_2b"](three)]
    parts += [m["branch3x3dbl_3a"](double), m["branch3x3dbl_3b"](double), m["branch_pool"](average(x))]
    assert torch.equal(e(x), torch.cat(parts, 1))
    assert e.width == 2048


def random_inception() -> tuple[Inception, dict[str, torch.Tensor]]:
    """Weights and statistics that leave no place out, of a size that keeps activations near 1."""
    draw = torch.Generator().manual_seed(3)
    network, weights = Inception().eval(), {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        noise = torch.randn(value.shape, generator=draw)
        if name.endswith(("conv.weight", "fc.weight")):
            weights[name] = noise * (2 / value[0].numel()) ** 0.5
        elif name.endswith("running_var"):
            weights[name] = 0.02 * noise.abs() + 1e-3  # so small that the epsilon of the norm is seen
        elif name.endswith("bn.weight"):
            weights[name] = 0.12 * (1 + 0.1 * noise)
        else:
            weights[name] = 0.1 * noise
    network.load_state_dict(weights, strict=False)
    return network, weights


def fid_inception(w: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The graph of 2015-12-05 written out by functions alone, from TensorFlow's: epsilon 0.001, averages over what
    lies inside the picture, a maximum in the last block; pool, logits without bias, mixed_6/conv's first channels."""

    def conv(name: str, x: torch.Tensor, stride: int = 1, pad: tuple[int, int] = (0, 0)) -> torch.Tensor:
        x = nf.conv2d(x, w[f"{name}.conv.weight"], None, stride, pad)
        stats = (w[f"{name}.bn.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return nf.batch_norm(x, *stats, training=False, eps=0.001).relu()

    def chain(block: str, x: torch.Tensor, *names: str) -> torch.Tensor:
        for name in names:
            tall, wide = w[f"{block}.{name}.conv.weight"].shape[2:]
            x = conv(f"{block}.{name}", x, pad=(tall // 2, wide // 2))
        return x

    def inside(x: torch.Tensor) -> torch.Tensor:
        ones = torch.ones_like(x[:1, :1])
        nine = torch.ones(1, 1, 3, 3)
        total = nf.conv2d(x.flatten(0, 1)[:, None], nine, padding=1).view_as(x)
        return total / nf.conv2d(ones, nine, padding=1)

    def a(name: str, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [
                chain(name, x, "branch1x1"),
                chain(name, x, "branch5x5_1", "branch5x5_2"),
                chain(name, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
                chain(name, inside(x), "branch_pool"),
            ],
            1,
        )

    def c(name: str, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [
                chain(name, x, "branch1x1"),
                chain(name, x, *(f"branch7x7_{i}" for i in (1, 2, 3))),
                chain(name, x, *(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5))),
                chain(name, inside(x), "branch_pool"),
            ],
            1,
        )

    def e(name: str, x: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        three = chain(name, x, "branch3x3_1")
        double = chain(name, x, "branch3x3dbl_1", "branch3x3dbl_2")
        forks = [chain(name, three, f"branch3x3_2{fork}") for fork in "ab"]
        forks += [chain(name, double, f"branch3x3dbl_3{fork}") for fork in "ab"]
        return torch.cat([chain(name, x, "branch1x1"), *forks, chain(name, pooled, "branch_pool")], 1)

    x = conv("Conv2d_2a_3x3", conv("Conv2d_1a_3x3", x, 2))
    x = nf.max_pool2d(conv("Conv2d_2b_3x3", x, pad=(1, 1)), 3, 2)
    x = nf.max_pool2d(conv("Conv2d_4a_3x3", conv("Conv2d_3b_1x1", x)), 3, 2)
    x = a("Mixed_5d", a("Mixed_5c", a("Mixed_5b", x)))
    double = chain("Mixed_6a", x, "branch3x3dbl_1", "branch3x3dbl_2")
    parts = [conv("Mixed_6a.branch3x3", x, 2), conv("Mixed_6a.branch3x3dbl_3", double, 2), nf.max_pool2d(x, 3, 2)]
    x = c("Mixed_6c", c("Mixed_6b", torch.cat(parts, 1)))
    spatial = chain("Mixed_6d", x, "branch1x1")[:, :7]
    x = c("Mixed_6e", c("Mixed_6d", x))
    seven = chain("Mixed_7a", x, "branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3")
    parts = [
        conv("Mixed_7a.branch3x3_2", chain("Mixed_7a", x, "branch3x3_1"), 2),
        conv("Mixed_7a.branch7x7x3_4", seven, 2),
        nf.max_pool2d(x, 3, 2),
    ]
    x = torch.cat(parts, 1)
    x = e("Mixed_7b", x, inside(x))
    x = e("Mixed_7c", x, nf.max_pool2d(x, 3, 1, 1))
    pool = x.mean((2, 3))
    return pool, pool @ w["fc.weight"].T, spatial.flatten(1)


@torch.no_grad()
def test_inception_is_the_graph_of_fid_on_any_weights(tmp_path: Path):
    """The whole graph, and levels 0 to 255 taken to [-1, 1) before it."""
    network, weights = random_inception()
    levels = torch.randint(0, 256, (1, 3, 299, 299), generator=torch.Generator().manual_seed(1)).float()
    want = fid_inception(weights, (levels - 128) / 128)
    got = network((levels - 128) / 128)
    for a, b in zip(got, want, strict=True):
        assert a.std() > 1e-3
        torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-3 * float(b.std()))
    save_file(weights, tmp_path / "w.safetensors")
    rows = features(f"inception:{tmp_path / 'w.safetensors'}")(levels / 127.5 - 1)
    for kind, b in zip(("pool", "logits", "spatial"), want, strict=True):
        torch.testing.assert_close(rows[kind], b, rtol=2e-3, atol=2e-3 * float(b.std()))


def test_averages_leave_the_padding_out():
    assert torch.allclose(average(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_inception_s_features(inception: Path, pictures, monkeypatch):
    extract = features(f"inception:{inception}")
    rows = extract(pictures[:2])
    assert {kind: tuple(x.shape) for kind, x in rows.items()} == {
        "pool": (2, 2048), "logits": (2, 1008), "spatial": (2, 2023)
    }  # fmt: skip
    network, _ = read_weights(inception)
    assert torch.allclose(rows["logits"], rows["pool"] @ network.fc.weight.T, atol=1e-4), "without the bias"
    assert "not the standard weights" in extract.name
    assert "TensorFlow 1" in extract.preprocessing
    monkeypatch.setenv(VARIABLE, str(inception))
    clean = features("inception-clean")
    assert clean.fingerprint != extract.fingerprint == features("inception").fingerprint
    assert not torch.allclose(clean(pictures[:1])["pool"], rows["pool"][:1], rtol=1e-3)


def test_a_pickle_of_weights_is_read_as_weights_alone(inception: Path, tmp_path: Path):
    network, _ = read_weights(inception)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    again, _ = read_weights(tmp_path / "w.pth")
    assert torch.equal(again.fc.weight, network.fc.weight)
    torch.save({**network.state_dict(), "fc.bias": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(BadInput, match="holds no weights"):
        read_weights(tmp_path / "w.pth")
    torch.save({"x": print}, tmp_path / "w.pth")
    with pytest.raises(BadInput, match="holds no weights"):
        read_weights(tmp_path / "w.pth")


def test_what_is_missing_is_said(monkeypatch, tmp_path: Path):
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text('{"model_type": "bert"}')
    for given, said in {
        "inception": "needs its weights",
        f"inception:{tmp_path / 'none.pth'}": "There is no file",
        "inception:": "no weights after the colon",
        "resnet": "no features called resnet",
        str(tmp_path / "empty"): "no readable config.json",
        str(tmp_path / "odd"): "holds a bert",
        f"clip:{tmp_path / 'empty'}": "no folder with a config.json",
        f"vignettes-features:{tmp_path / 'odd'}": "no readable judge",
    }.items():
        with pytest.raises(BadInput, match=said) as refusal:
            features(given)
        assert "\n" not in str(refusal.value)


def test_the_old_resize_is_tensorflow_s():
    """Output i reads at i times the ratio of the sides; the last column has nothing to its right."""
    x = torch.tensor([[[[0.0, 1.0]]]]).expand(1, 1, 2, 2)
    assert legacy(x, 4)[0, 0, 0].tolist() == [0, 0.5, 1, 1]
    assert torch.equal(legacy(x, 2), x)
    y = torch.rand(1, 3, 9, 6)
    assert torch.allclose(legacy(y, 3)[0, 0, 1], y[0, 0, 3, ::2]), "no antialiasing where it shrinks"


@pytest.mark.parametrize(("side", "size"), [(64, 299), (64, 24)])
def test_the_clean_resize_is_pillow_s_cut_to_levels(side, size):
    """clean-fid resizes each channel as Pillow does in floating point, and clips what overshoots at edges."""
    x = np.random.default_rng(0).uniform(0, 255, (side, side)).astype(np.float32)
    x[:, side // 2 :] = 255
    x[:, : side // 4] = 0
    whole = np.asarray(Image.fromarray(x).resize((size, size), Image.Resampling.BICUBIC))
    assert whole.max() > 256
    assert whole.min() < -1
    np.testing.assert_allclose(bicubic(torch.from_numpy(x)[None, None], size)[0, 0].numpy(), whole, atol=2e-3)
    clean, _ = RESIZE["inception-clean"]
    got = clean(torch.from_numpy(x)[None, None], size)[0, 0].numpy()
    np.testing.assert_allclose(got, whole.clip(0, 255), atol=2e-3)


def test_vignettes_features_are_what_the_judge_reads_from(pictures):
    extract, judge = features("vignettes-features"), Judge.load()
    rows = extract(pictures)
    with torch.no_grad():
        subject = judge(pictures)[0]
        map_ = judge.trunk(pictures)
    assert torch.allclose(rows["logits"], subject, atol=1e-5)
    assert torch.allclose(rows["pool"], map_.mean((2, 3)), atol=1e-6)
    assert extract.widths((48, 32)) == {"pool": 160, "logits": 14, "spatial": 448}
    assert extract.widths((64, 64)) == {kind: x.shape[1] for kind, x in rows.items()}
    assert extract.fingerprint == features("vignettes-features").fingerprint
    assert extract.words is None


def test_a_folder_with_a_classifier(tmp_path: Path, pictures):
    torch.manual_seed(0)
    network = Classifier(["a", "b", "c"], channels=1, widths=(16, 32), blocks=(1, 1)).eval()
    network.save(tmp_path, torch.float32)
    extract = features(str(tmp_path))
    rows = extract(pictures)
    grey = (pictures * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    with torch.no_grad():
        assert torch.allclose(rows["pool"], network.features(grey), atol=1e-6)
        assert torch.allclose(rows["logits"], network(grey), atol=1e-6)
    assert torch.allclose(rows["spatial"].unflatten(1, (7, -1)).mean(2), rows["pool"][:, :7], atol=1e-6)
    assert extract.name == str(tmp_path)
    first = extract.fingerprint
    torch.nn.init.normal_(network.head.bias)
    network.save(tmp_path, torch.float32)
    assert features(str(tmp_path)).fingerprint != first, "other weights, other features"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = CLIPTokenizer.from_pretrained(ZOO / "mini" / "tokenizer")
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = CLIPTextConfig(**size, vocab_size=len(tokenizer), max_position_embeddings=48, projection_dim=16, **ids)
    image = CLIPVisionConfig(**size, image_size=32, patch_size=8, projection_dim=16)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=image.to_dict(), projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    means = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    (folder / "preprocessor_config.json").write_text(json.dumps(means))
    return folder


def test_clip_reads_pictures_and_words(clip: Path, pictures):
    from transformers import AutoTokenizer, CLIPModel

    extract, network = features(f"clip:{clip}"), CLIPModel.from_pretrained(clip).eval()
    small = nf.interpolate(pictures, (32, 32), mode="bicubic", antialias=True, align_corners=False)
    normal = ((small + 1) / 2 - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.3, 0.4])[
        :, None, None
    ]
    said = ["a red boat on the sea", "a cat"]
    rows = AutoTokenizer.from_pretrained(clip)(said, padding=True, return_tensors="pt")
    with torch.no_grad():
        answer = network(**rows, pixel_values=normal)
        cosines = nf.cosine_similarity(extract(pictures)["pool"][:, None], extract.words(said)[None], dim=-1)
    assert torch.allclose(cosines * network.logit_scale.exp(), answer.logits_per_image, atol=1e-3)
    assert extract.name == f"clip ({clip})"
    assert features(str(clip)).name == str(clip)


def test_mini_s_image_encoder_serves_without_words(pictures):
    extract = features("mini/image_encoder")
    assert extract.name == "mini/image_encoder"
    assert tuple(extract(pictures)["pool"].shape) == (3, 128)
    assert extract.words is None
    assert extract.preprocessing.endswith("[-1, 1]")


def test_dinov2_answers_its_class_token(tmp_path: Path, pictures):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    network = Dinov2Model(Dinov2Config(**shape, image_size=56, patch_size=14)).eval()
    network.save_pretrained(tmp_path)
    extract = features(f"dinov2:{tmp_path}")
    size = nf.interpolate(pictures, (56, 56), mode="bicubic", antialias=True, align_corners=False)
    with torch.no_grad():
        want = network(pixel_values=size).last_hidden_state[:, 0]
    assert torch.allclose(extract(pictures)["pool"], want, atol=1e-5)
    (tmp_path / "preprocessor_config.json").write_text('{"crop_size": {"height": 28, "width": 28}}')
    assert "28 x 28" in features(f"dinov2:{tmp_path}").preprocessing


def test_weights_that_are_not_here_are_not_replaced(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in FEATURES.keys() - {"vignettes-features"}:
        with pytest.raises(BadInput, match=name):
            features(name)
