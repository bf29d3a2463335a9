"""ControlNets, T2I-Adapters and IP-Adapters in single files: their makers' names, and back to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import ControlNetModel, T2IAdapter
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from safetensors.torch import load_file, save_file
from stock import image_prompts, stirred

import sfumato
from sfumato.control import ControlNet, IPAdapter
from sfumato.formats.control_network import read_controlnet, read_t2i_adapter
from sfumato.formats.convert import convert
from sfumato.formats.key_names import write_tensors
from sfumato.formats.single_control import TOLD, control_of, naming_of_control
from sfumato.formats.tensor_file import TensorFile
from sfumato.picture import BadInput
from sfumato.provenance import inspect_control

BOTH = ("CrossAttnDownBlock2D", "DownBlock2D")
SD1 = {"attention_head_dim": 8, "cross_attention_dim": 768}
SD2 = {"attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "use_linear_projection": True}
XL = {
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "block_out_channels": [320, 640, 1280],
    "transformer_layers_per_block": [1, 2, 10],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


def small(**options: Any) -> ControlNetModel:
    shape = {
        "down_block_types": BOTH,
        "block_out_channels": (32, 64),
        "attention_head_dim": 8,
        "cross_attention_dim": 16,
    }
    return stirred(ControlNetModel(**shape, conditioning_embedding_out_channels=(8, 16, 24, 32), **options), 3)


def adapter(kind: str) -> T2IAdapter:
    torch.manual_seed(4)
    widths, resnets = ((32, 64, 64), 2) if kind == "full_adapter" else ((32, 64), 4)
    return T2IAdapter(3, widths, resnets, 8, kind)


def written(network: Any) -> dict[str, torch.Tensor]:
    return write_tensors(network.state_dict(), *naming(network))


def naming(network: Any) -> Any:
    found = naming_of_control({"_class_name": type(network).__name__, **network.config})
    assert found is not None
    return found


def same(ours: Any, theirs: Any) -> bool:
    state = theirs.state_dict()
    return ours.keys() == state.keys() and all(torch.equal(tensor, state[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("options", [SD1, SD2, XL], ids=["1", "2", "XL"])
@pytest.mark.parametrize("named", ["makers", "diffusers"])
def test_the_config_of_every_family_is_found_in_the_shapes_of_its_file(options, named):
    with init_empty_weights():
        whole = ControlNetModel(**options)
    prefix, names = naming(whole)
    shapes = {
        name if named == "diffusers" else prefix + names(name).key: tuple(tensor.shape)
        for name, tensor in whole.state_dict().items()
    }
    turned = TensorFile(Path("control.safetensors"), shapes, dict.fromkeys(shapes, "F16"))
    config = control_of(turned).config
    for name in TOLD:
        ours, theirs = (config.get(name, default) for default in (whole.config[name],) * 2)
        assert list(ours) == list(theirs) if isinstance(theirs, list | tuple) else ours == theirs, name
        assert (name in config) or whole.config[name] in (None, 1), name
    assert list(config["conditioning_embedding_out_channels"]) == [16, 32, 96, 256]


def test_a_controlnet_in_its_makers_names_is_what_stock_diffusers_makes_of_it(tmp_path):
    net = small()
    tensors = written(net)
    assert {  # as the makers' files have them
        "control_model.time_embed.2.bias",
        "control_model.input_hint_block.0.weight",
        "control_model.zero_convs.5.0.bias",
        "control_model.middle_block_out.0.weight",
        "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
        "control_model.input_blocks.3.0.op.weight",
        "control_model.middle_block.1.proj_in.weight",
    } <= tensors.keys()
    assert same(convert_controlnet_checkpoint(dict(tensors), net.config), net)
    save_file({**tensors, "model.diffusion_model.out.2.bias": torch.ones(1)}, tmp_path / "control.safetensors")
    ours = read_controlnet(tmp_path / "control.safetensors")
    assert same(ours.state_dict(), net)
    x, told = torch.randn(1, 4, 8, 8), {"encoder_hidden_states": torch.randn(1, 3, 16), "return_dict": False}
    told["controlnet_cond"] = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(ours(x, 5, **told)[0], net(x, 5, **told)[0], strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("kind", ["full_adapter", "light_adapter"])
def test_a_t2i_adapter_in_its_makers_names_is_the_same(tmp_path, kind):
    net = adapter(kind)
    tensors = written(net)
    full, light = (
        {"body.2.in_conv.weight", "body.5.block2.bias"},
        {"body.1.body.3.block1.weight", "body.2.out_conv.bias"},
    )
    assert (full if kind == "full_adapter" else light) <= tensors.keys()
    save_file(tensors, tmp_path / "t2i.safetensors")
    ours = read_t2i_adapter(tmp_path / "t2i.safetensors")
    assert same(ours.state_dict(), net)
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(ours(picture), net(picture), strict=True))


@pytest.mark.parametrize(
    "network", [small(), adapter("full_adapter"), adapter("light_adapter")], ids=lambda net: type(net).__name__
)
def test_a_folder_becomes_a_file_and_a_folder_again_to_the_bit(tmp_path, network):
    network.half().save_pretrained(tmp_path / "net")
    convert(tmp_path / "net", tmp_path / "one.safetensors")
    convert(tmp_path / "one.safetensors", tmp_path / "again")
    before, after = (load_file(tmp_path / each / "diffusion_pytorch_model.safetensors") for each in ("net", "again"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) and after[name].dtype == torch.float16 for name in before)
    assert same(type(network).from_pretrained(tmp_path / "again", torch_dtype=torch.float16).state_dict(), network)
    with pytest.raises(BadInput, match="is there already"):
        convert(tmp_path / "net", tmp_path / "one.safetensors")


def test_files_are_named_where_a_network_is_and_wrong_ones_refused(tiny_model, unet, nets, maps, tmp_path):
    pipe = sfumato.load(tiny_model)
    file = convert(nets["plain"], tmp_path / "plain.safetensors")
    painted = pipe("a hat", steps=1, controls=[ControlNet(maps[0], file)])
    assert painted.recipe.controls[0].net == str(file)
    for name, tensors, words in (
        ("union", {"task_embedding": torch.ones(1)}, "is a union"),
        (
            "strange",
            {**load_file(file), "control_model.more": torch.ones(1)},
            "holds more, which no ControlNetModel has",
        ),
        ("short", dict(list(load_file(file).items())[3:]), "lacks .*input_blocks.0.0"),
        ("lora", {"a.lora_up.weight": torch.ones(1)}, "holds no ControlNet"),
        ("t2i", written(adapter("full_adapter")), "accepted here is a ControlNetModel"),
    ):
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(BadInput, match=words):
            pipe("a hat", steps=1, controls=[ControlNet(maps[0], tmp_path / f"{name}.safetensors")])
    with pytest.raises(BadInput, match="obeys a control and no model: show it a picture with --control"):
        sfumato.load(file)
    image_prompts.unet(unet, tmp_path / "ip")
    shutil.copyfile(tmp_path / "ip" / image_prompts.FILE, tmp_path / "ip" / "another.safetensors")
    with pytest.raises(BadInput, match="of several name the one"):
        pipe("a hat", steps=1, controls=[IPAdapter(maps[0], tmp_path / "ip")])
    pipe("a hat", steps=1, controls=[IPAdapter(maps[0], tmp_path / "ip" / image_prompts.FILE)])


def test_inspect_tells_a_file_of_each_kind(tmp_path: Path) -> None:
    for network, kind in ((small(), "controlnet"), (adapter("light_adapter"), "t2i-adapter")):
        file = tmp_path / f"{kind}.safetensors"
        save_file(written(network), file)
        network.save_pretrained(tmp_path / kind)
        of_file, of_folder = inspect_control(file), inspect_control(tmp_path / kind)
        assert of_file is not None
        assert of_folder is not None
        assert of_file.kind == of_folder.kind == kind.replace("-", "_")
        assert of_file.made == of_folder.made == type(network).__name__
        assert of_file.numbers == of_folder.numbers == sum(each.numel() for each in network.state_dict().values())
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(1, 2)}, tmp_path / "lora.safetensors")
    assert inspect_control(tmp_path / "lora.safetensors") is None
    assert inspect_control("mini") is None, "a model"
    assert inspect_control(tmp_path / "nothing") is None
