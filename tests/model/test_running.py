"""Where and how a model runs: devices, number types, weights that come and go, tiles, another autoencoder."""

from __future__ import annotations

import gc
import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from stock import image_prompts

import sfumato
from sfumato import IPAdapter
from sfumato.adapt import LoRA
from sfumato.adapt.adaptation import Adaptation
from sfumato.edit import SDEdit
from sfumato.guide import ClassifierFree
from sfumato.network.offload import at_hand
from sfumato.network.spec import device_of, own_dtype
from sfumato.picture import BadInput
from sfumato.provenance import redo
from sfumato.recipe import Recipe


def picture(size: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8))


SMALL = {"width": 16, "height": 16}


def apart(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def test_auto_is_resolved_and_recorded(tiny_model, monkeypatch):
    pipe = sfumato.load(tiny_model)
    has = torch.cuda.is_available() or torch.backends.mps.is_available()
    assert has or (pipe.stage.device, pipe.precision) == ("cpu", "float32")
    assert pipe.recipes("a boat")[0].precision == pipe.precision
    monkeypatch.setattr("sfumato.network.device._count", lambda kind: int(kind == "mps"))
    from sfumato.network.device import check_device
    from sfumato.network.precision import suits

    assert check_device("auto") == "mps"
    assert [suits(device) for device in ("mps", "cpu", "meta")] == ["float16", "float32", "float32"]


@pytest.mark.parametrize("precision", ["float16", "float8"])
def test_half_and_eighth_precision_stay_near_float32_and_are_redone(tiny_model, plain, tmp_path, precision):
    pipe = sfumato.load(tiny_model, precision=precision)
    full = plain("float32")("a boat", steps=2).image
    low = pipe("a boat", steps=2)
    assert 0 < apart(low.image, full) < {"float16": 2, "float8": 16}[precision]
    low.save(tmp_path / "low.png")
    assert redo(tmp_path / "low.png").identical
    unet, vae = (pipe.stage.networks[name] for name in ("unet", "vae"))
    stored = {p.dtype for name, p in unet.named_parameters() if name.endswith("to_q.weight")}
    assert stored == {torch.float16 if precision == "float16" else torch.float8_e4m3fn}
    assert own_dtype(unet) == (torch.float16 if precision == "float16" else torch.bfloat16)
    assert all(p.dtype.itemsize > 1 for p in vae.parameters())


def test_float8_is_what_diffusers_layerwise_casting_computes(tiny_model):
    from diffusers import UNet2DConditionModel

    ours = sfumato.load(tiny_model, precision="float8").stage.denoiser.backbone
    theirs = UNet2DConditionModel.from_pretrained(tiny_model / "unet", torch_dtype=torch.bfloat16).eval()
    theirs.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)
    x, text = torch.randn(2, 4, 16, 16).bfloat16(), torch.randn(2, 48, 64).bfloat16()
    t = torch.tensor([3.0, 700.0])
    with torch.no_grad():
        assert torch.equal(ours.run(x=x, t=t, text=text), theirs(x, t, text).sample)


def test_what_a_lora_changes_is_not_lost_between_the_steps_of_float8(tiny_model, tmp_path):
    """It changes weights by a hundredth of what they are; the steps of float8 are a tenth."""
    pipe, dice = sfumato.load(tiny_model, precision="float8"), torch.Generator().manual_seed(0)
    unet, tensors = pipe.stage.networks["unet"], {}
    layer = unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn2.to_k")
    own = layer.weight.float()
    down, up = (torch.randn(shape, generator=dice) for shape in ((4, own.shape[1]), (own.shape[0], 4)))
    delta = up @ down
    share = 0.01 * own.norm() / delta.norm()
    name = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    tensors = {f"{name}.lora_A.weight": down * share, f"{name}.lora_B.weight": up}
    save_file(tensors, tmp_path / "a.safetensors")
    text, rest = torch.randn(1, 3, own.shape[1], generator=dice).bfloat16(), layer.weight.clone()
    with torch.no_grad():
        before = layer(text).float()
        with Adaptation(pipe.stage.networks, [LoRA(tmp_path / "a.safetensors")]).painting(0.5):
            changes = [layer(text).float() - before for _ in range(2)]
    wanted = (text.float() @ delta.T) * share
    for change in changes:
        assert float((change * wanted).sum() / wanted.square().sum()) == pytest.approx(1, abs=0.15)
    assert torch.equal(layer.weight, rest)
    assert layer.weight.dtype == torch.float8_e4m3fn


@pytest.fixture(scope="module")
def plain(tiny_model):
    """plain("float16"): the model, all of whose weights are there."""
    return cache(lambda precision: sfumato.load(tiny_model, precision=precision))


@pytest.mark.parametrize("offload", ["parts", "layers"])
@pytest.mark.parametrize("precision", ["float16", "float8"])
def test_offloading_changes_no_bit(tiny_model, plain, offload, precision):
    """In float32 too: see the tests of gradients and of what was swapped in."""
    plain = plain(precision)
    away = sfumato.load(tiny_model, precision=precision, offload=offload)
    asked = {"start": SDEdit(picture(16), 0.8), "guidance": [ClassifierFree(3.0)], "steps": 2} | SMALL
    wanted = plain("a boat", **asked).image.tobytes()
    assert [away("a boat", **asked).image.tobytes() for _ in range(2)] == [wanted] * 2
    there = {name: _bytes(network) for name, network in away.stage.networks.items()}
    assert sum(size > 0 for size in there.values()) == (1 if offload == "parts" else 0), there


@pytest.mark.parametrize("precision", ["float16", "float8"])
def test_an_image_prompt_is_the_same_where_layers_come_and_go(tiny_model, plain, tmp_path, precision):
    assert image_prompts.save(plain("float16").stage.networks["unet"], tmp_path / "ip")
    asked = {"controls": [IPAdapter(picture(16), tmp_path / "ip")], "steps": 2} | SMALL
    found = [plain(precision), sfumato.load(tiny_model, precision=precision, offload="layers")]
    one, other = (pipe("a boat", **asked).image.tobytes() for pipe in found)
    assert one == other


def _bytes(network: torch.nn.Module) -> int:
    """Of the weights that are there."""
    return sum(p.numel() * p.element_size() for p in network.parameters() if p.numel() and any(p.stride()))


@pytest.mark.parametrize("offload", ["parts", "layers"])
def test_gradients_go_through_offloaded_networks(tiny_model, plain, offload, monkeypatch):
    """Through the decoder and the network before it: what a gradient guidance does, and decoder tuning."""
    from sfumato.edit import Outside
    from sfumato.edit.reconstruction import Reconstruction

    monkeypatch.setattr(Reconstruction, "steps", 3)
    plain, away = plain("float32"), sfumato.load(tiny_model, offload=offload)
    found = []
    for pipe in (plain, away):
        stage = pipe.stage
        condition = stage.encode([Recipe(prompt="a boat")])
        torch.manual_seed(0)
        x = torch.randn(1, 4, 8, 8).requires_grad_()
        said = stage.denoiser(x, torch.tensor(0.5, dtype=torch.float64), condition)
        (gradient,) = torch.autograd.grad(stage.space.decode(said.x0).square().sum(), x)
        found.append(gradient)
    assert float(found[0].abs().max()) > 0
    assert torch.equal(*found)
    mask = Image.fromarray(np.pad(np.full((6, 6), 255, np.uint8), 5))
    asked = {"start": SDEdit(picture(16), 0.5), "hold": Outside(mask), "steps": 2, "composite": "decoder"} | SMALL
    assert away("a boat", **asked).image.tobytes() == plain("a boat", **asked).image.tobytes()


@pytest.mark.parametrize("offload", ["parts", "layers"])
def test_weights_are_at_hand_when_asked_for_and_what_was_swapped_in_stays(tiny_model, plain, offload):
    pipe, changed = sfumato.load(tiny_model, offload=offload), sfumato.load(tiny_model)
    unet, own = (each.stage.networks["unet"] for each in (pipe, changed))
    layer = unet.mid_block.attentions[0].proj_in
    assert layer.weight.isnan().all()
    with at_hand(unet):
        assert all(torch.equal(a, b) for a, b in zip(unet.parameters(), own.parameters(), strict=True))
    kept, double = layer.weight, own.mid_block.attentions[0].proj_in.weight.detach() * 2
    layer.weight = own.mid_block.attentions[0].proj_in.weight = torch.nn.Parameter(double, requires_grad=False)
    asked = {"steps": 2, **SMALL}
    assert pipe("a boat", **asked).image.tobytes() == changed("a boat", **asked).image.tobytes()
    assert torch.equal(layer.weight, double)
    layer.weight = kept
    assert pipe("a boat", **asked).image.tobytes() == plain("float32")("a boat", **asked).image.tobytes()


def test_offloaded_to_another_device_networks_come_and_go(tiny_model, plain, monkeypatch):
    """As on a GPU: weights rest in this computer's memory. The other device is played by the CPU."""
    monkeypatch.setattr("sfumato.formats.parts.from_files", lambda network, files: None)
    pipe = sfumato.load(tiny_model, offload="parts", device="cpu")
    assert not hasattr(pipe.stage.networks["unet"], "_runs_on"), "what has no place to rest stays"
    from sfumato.network.offload import Shelf

    shelf = Shelf("cpu")
    networks = pipe.stage.networks
    before = {name: [p.clone() for p in network.parameters()] for name, network in networks.items()}
    for network in networks.values():
        shelf.take(network)
    assert all(p.isnan().all() for p in networks["unet"].parameters())
    asked = {"steps": 2, **SMALL}
    assert pipe("a boat", **asked).image.tobytes() == plain("float32")("a boat", **asked).image.tobytes()
    for name, network in networks.items():
        with at_hand(network):
            assert all(torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True))


def test_an_offloaded_network_says_where_it_computes(tiny_model):
    unet = sfumato.load(tiny_model, device="meta", offload="none").stage.networks["unet"]
    assert device_of(unet).type == "meta"
    with pytest.raises(BadInput, match="none, parts, layers"):
        sfumato.load(tiny_model, offload="disk")


def overflowing(folder, tiny_model, weights, **config):
    """A copy of the model whose decoder's middle is beyond float16 for half the pictures."""
    shutil.copytree(tiny_model, folder)
    place = folder / "vae" / "config.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "force_upcast": False, **config}))

    def change(tensors):
        return {
            name: tensor * 60000 if name == "decoder.mid_block.resnets.1.conv2.weight" else tensor
            for name, tensor in tensors.items()
        }

    weights(folder / "vae" / "diffusion_pytorch_model.safetensors", change)
    return folder


@pytest.fixture
def weights():
    from safetensors.torch import load_file, save_file

    def rewrite(path, change):
        save_file({n: t.contiguous() for n, t in change(load_file(path)).items()}, path, metadata={"format": "pt"})

    return rewrite


@pytest.mark.parametrize("offload", ["none", "parts", "layers"])
def test_an_autoencoder_that_overflows_in_float16_is_run_in_float32(tiny_model, tmp_path, weights, offload):
    folder = overflowing(tmp_path / "over", tiny_model, weights)
    pipe = sfumato.load(folder, precision="float16", offload=offload, engine="exact")
    full = sfumato.load(folder, precision="float32")
    z = torch.randn(2, 4, 8, 8, generator=torch.manual_seed(0))
    z[1] = 0.05 * z[1]
    vae = pipe.stage.networks["vae"]
    with torch.no_grad(), at_hand(vae):
        assert not vae.decode(z.half()).sample.isfinite().all()
    ours, theirs = pipe.stage.space.decode(z), full.stage.space.decode(z)
    assert ours.isfinite().all()
    assert float((ours - theirs).abs().max()) < 0.02
    assert torch.equal(ours[:1], pipe.stage.space.decode(z[:1])), "alone as in company"
    assert {p.dtype for p in vae.parameters()} == {torch.float16}
    assert np.asarray(pipe("a boat", steps=1, **SMALL).image).std() > 1


def test_an_autoencoder_whose_config_says_that_it_overflows_is_read_in_float32(tiny_model, tmp_path, weights):
    folder = overflowing(tmp_path / "over", tiny_model, weights, force_upcast=True)
    pipe = sfumato.load(folder, precision="float16")
    assert own_dtype(pipe.stage.networks["vae"]) == torch.float32
    assert own_dtype(pipe.stage.networks["unet"]) == torch.float16


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A model of other weights."""
    from random_model import TINY, build

    return build(tmp_path_factory.mktemp("other"), shape=TINY, seed=5)


def test_another_autoencoder_is_used_recorded_and_redone(tiny_model, plain, other, tmp_path):
    pipe = sfumato.load(tiny_model, vae=other)
    made = pipe("a boat", steps=2)
    assert made.recipe.vae == str((other / "vae").resolve())
    assert apart(made.image, plain("float32")("a boat", steps=2).image) > 1
    assert made.recipe.made.weights not in ("", plain("float32").weights)
    made.save(tmp_path / "made.png")
    assert redo(tmp_path / "made.png").identical
    with pytest.raises(BadInput, match="vae="):
        plain("float32").run(made.recipe)
    with pytest.raises(BadInput, match="no autoencoder called 'nowhere'"):
        sfumato.load(tiny_model, vae="nowhere")


@pytest.mark.parametrize(("named", "single"), [("makers", True), ("diffusers", False)])
def test_an_autoencoder_in_a_file_of_its_own_is_the_one_of_its_folder(tiny_model, other, tmp_path, named, single):
    from safetensors.torch import load_file, save_file

    from sfumato.formats.convert import convert
    from sfumato.formats.key_names import write_tensors
    from sfumato.formats.ldm_names import autoencoder_names

    file = tmp_path / "other.vae.safetensors"
    tensors = load_file(other / "vae" / "diffusion_pytorch_model.safetensors")
    levels = len(json.loads((other / "vae" / "config.json").read_text())["block_out_channels"])
    save_file(tensors if named == "diffusers" else write_tensors(tensors, "", autoencoder_names(levels)), file)
    model = convert(tiny_model, tmp_path / "whole.safetensors") if single else tiny_model
    pipe, plain = sfumato.load(model, vae=file), sfumato.load(model)
    made = pipe("a boat", steps=2)
    assert apart(made.image, sfumato.load(model, vae=other)("a boat", steps=2).image) == 0
    assert apart(made.image, plain("a boat", steps=2).image) > 1
    assert made.recipe.vae == str(file)
    assert made.recipe.made.weights not in ("", plain.weights)
    made.save(tmp_path / "made.png")
    assert redo(tmp_path / "made.png").identical


def test_a_file_that_is_no_autoencoder_of_the_model_s_shape_is_refused(tiny_model, tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = load_file(tiny_model / "vae" / "diffusion_pytorch_model.safetensors")
    name = "decoder.conv_in.weight"
    for changed, words in (
        ({"a": torch.ones(1)}, "holds no autoencoder"),
        ({**tensors, "more": torch.ones(1)}, "holds more, which the model's autoencoder has no place for"),
        ({**tensors, name: tensors[name][:, :2].contiguous()}, "in the shape"),
        (
            {key: tensor for key, tensor in tensors.items() if key != "encoder.conv_in.bias"},
            "lacks encoder.conv_in.bias",
        ),
    ):
        save_file(changed, tmp_path / "vae.safetensors")
        with pytest.raises(BadInput, match=words):
            sfumato.load(tiny_model, vae=tmp_path / "vae.safetensors")


def test_a_model_of_pixels_takes_no_autoencoder(pixel_model, tiny_model):
    with pytest.raises(BadInput, match="has no autoencoder"):
        sfumato.load(pixel_model(how="time"), vae=tiny_model)


def test_tiles_are_blended_without_seams(tmp_path):
    """A trained autoencoder in tiles: near the whole picture, and no nearer or farther at the edges of tiles."""
    from sfumato.data import vignettes
    from sfumato.space.pixels import to_tensor

    whole, tiled = sfumato.load("mini", precision="float32"), sfumato.load("mini", precision="float32", tile=128)
    drawn = [Image.fromarray(vignettes.draw(vignettes.scene(3, i), 320).image) for i in (4, 5)]
    painted = to_tensor(drawn)
    decoded = [pipe.stage.space.decode(pipe.stage.space.encode(painted)) for pipe in (whole, tiled)]
    error = (decoded[0] - decoded[1]).abs().mean((0, 1, 2)) * 127.5
    assert not torch.equal(*decoded)
    assert float(error.mean()) < 4
    steps = [(each[..., 1:] - each[..., :-1]).abs().mean((0, 1, 2)) for each in decoded]
    edges = [96, 192, 288]
    excess = [float((steps[1] - steps[0])[edge - 1]) * 127.5 for edge in edges]
    assert max(excess) < 1, excess
    small = whole("a boat", steps=2, width=128, height=128), tiled("a boat", steps=2, width=128, height=128)
    assert small[0].image.tobytes() == small[1].image.tobytes(), "one tile is the whole picture"
    assert small[1].recipe.tile == 128
    with pytest.raises(BadInput, match="multiple of 64"):
        sfumato.load("mini", tile=100)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_inspect_foretells_the_weights_that_are_loaded(tiny_model, plain, precision):
    from sfumato.provenance import inspect_model
    from sfumato.provenance.memory import COMPUTED, activations

    report = inspect_model(tiny_model)
    networks = plain(precision).stage.networks
    held = {name: sum(p.nbytes for p in network.parameters()) for name, network in networks.items()}
    largest = {name: max(p.nbytes for p in network.parameters()) for name, network in networks.items()}
    live = {
        name: activations(type(network).__name__, network.config if name != "text_encoder" else {}, 32, 2)
        * COMPUTED[precision]
        for name, network in networks.items()
    }
    assert report.memory[precision] == {
        "none": sum(held.values()) + max(live.values()),
        "parts": max(held[name] + live[name] for name in held),
        "layers": max(largest[name] + live[name] for name in held),
    }
    assert live["unet"] > 0 < live["vae"]
    assert f"{precision} " in report.text()
    assert "--offload parts" in report.text()


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="says what is mapped on Linux alone")
def test_weights_in_their_own_precision_are_mapped_and_not_copied(tiny_model, tmp_path):
    """And let go with the pipe; in another precision they are cast once, and nothing stays mapped."""
    folder = shutil.copytree(tiny_model, tmp_path / "mapped")

    def mapped() -> set[str]:
        gc.collect()
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        return {Path(line.split()[-1]).parent.name for line in lines if str(folder) in line}

    pipe = sfumato.load(folder, precision="float32")
    assert mapped() == {"unet", "vae", "text_encoder"}
    pipe("a boat", steps=1, **SMALL)
    assert mapped() == {"unet", "vae", "text_encoder"}
    del pipe
    assert not mapped()
    pipe = sfumato.load(folder, precision="bfloat16")
    assert not mapped()
    assert pipe.precision == "bfloat16"


def test_weights_are_found_in_files_that_call_them_as_they_once_were(tmp_path):
    from diffusers import AutoencoderKL
    from safetensors.torch import save_file

    from sfumato.network.offload import OLD, from_files

    network = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2)
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for new, old in OLD.items():
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    assert tensors.keys() != network.state_dict().keys()
    save_file(tensors, tmp_path / "old.safetensors")
    source = from_files(network, [tmp_path / "old.safetensors"])
    assert source is not None
    assert all(torch.equal(source(name), weight) for name, weight in network.named_parameters())
    save_file({f"strange_{name}": tensor for name, tensor in tensors.items()}, tmp_path / "strange.safetensors")
    assert from_files(network, [tmp_path / "strange.safetensors"]) is None


@pytest.mark.parametrize("offload", ["parts", "layers"])
def test_adapters_change_weights_that_come_and_go(tiny_model, plain, tmp_path, offload):
    from safetensors.torch import save_file

    from sfumato.adapt import LoRA

    generator, pipe = torch.Generator().manual_seed(0), plain("float32")
    layers = {n: m for n, m in pipe.stage.networks["unet"].named_modules() if n.endswith("attn2.to_q")}
    tensors = {}
    for name, layer in layers.items():
        rows, columns = layer.weight.shape  # pyright: ignore[reportAttributeAccessIssue]
        tensors[f"unet.{name}.lora_A.weight"] = torch.randn(2, columns, generator=generator)
        tensors[f"unet.{name}.lora_B.weight"] = torch.randn(rows, 2, generator=generator)
    save_file(tensors, tmp_path / "lora.safetensors")
    asked = {"adapters": [LoRA(tmp_path / "lora.safetensors")], "steps": 2, "seed": 1}
    asked |= SMALL
    here = pipe("a boat", **asked).image
    away = sfumato.load(tiny_model, offload=offload)("a boat", **asked).image
    assert here.tobytes() == away.tobytes()
    assert here.tobytes() != pipe("a boat", steps=2, seed=1, **SMALL).image.tobytes()
