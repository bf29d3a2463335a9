"""The same adapter as each tool writes it changes the same weights, to the bit; what fits nothing is named."""

from __future__ import annotations

import json

import pytest
import torch
from adapter_files import ATTENTION, make_unet, tensors, weights_of, written

from sfumato.adapt import LoRA
from sfumato.adapt.adaptation import Adaptation
from sfumato.adapt.names import compvis_unet
from sfumato.picture import BadInput

LAYERS = [f"{ATTENTION}.{to}" for to in ("attn1.to_q", "attn1.to_out.0", "attn2.to_k", "attn2.to_v", "ff.net.0.proj")]
LDM = ATTENTION.replace("down_blocks.1.attentions.0", "input_blocks.3.1")
WORDS = ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc1"]


def kohya(layer: str) -> str:
    return layer.replace(".", "_")


STYLES = {
    "diffusers": ("unet.{}.lora_A.weight", "unet.{}.lora_B.weight", "text_encoder.text_model.{}.lora_A.weight",
                  "text_encoder.text_model.{}.lora_B.weight"),
    "old diffusers": ("unet.{}.lora.down.weight", "unet.{}.lora.up.weight",
                      "text_encoder.text_model.{}.lora_linear_layer.down.weight",
                      "text_encoder.text_model.{}.lora_linear_layer.up.weight"),
    "peft": ("base_model.model.unet.{}.lora_A.default.weight", "base_model.model.unet.{}.lora_B.default.weight",
             "base_model.model.text_encoder.text_model.{}.lora_A.default.weight",
             "base_model.model.text_encoder.text_model.{}.lora_B.default.weight"),
    "kohya": ("lora_unet_{_}.lora_down.weight", "lora_unet_{_}.lora_up.weight",
              "lora_te_text_model_{_}.lora_down.weight", "lora_te_text_model_{_}.lora_up.weight"),
    "kohya, CompVis' names": ("lora_unet_{ldm}.lora_down.weight", "lora_unet_{ldm}.lora_up.weight",
                              "lora_te1_text_model_{_}.lora_down.weight", "lora_te1_text_model_{_}.lora_up.weight"),
    "ComfyUI": ("diffusion_model.{ldm.}.lora_A.weight", "diffusion_model.{ldm.}.lora_B.weight",
                "text_encoders.clip_l.transformer.text_model.{}.lora_A.weight",
                "text_encoders.clip_l.transformer.text_model.{}.lora_B.weight"),
}  # fmt: skip


def file_of(style: str, networks, path, alpha: float | None = None):
    found, header = {}, None
    for i, (part, layer) in enumerate(
        [*(("unet", each) for each in LAYERS), *(("text_encoder", each) for each in WORDS)]
    ):
        down, up = tensors(networks[part].get_submodule(layer).weight.shape, seed=i)
        forms = STYLES[style][:2] if part == "unet" else STYLES[style][2:]
        ldm = layer.replace(ATTENTION, LDM)
        for form, tensor in zip(forms, (down, up), strict=True):
            key = form.replace("{}", layer).replace("{_}", kohya(layer)).replace("{ldm}", kohya(ldm))
            found[key.replace("{ldm.}", ldm)] = tensor
            if alpha and "kohya" in style:
                found[key.replace("{ldm.}", ldm).split(".")[0] + ".alpha"] = torch.tensor(alpha)
    if alpha and style == "diffusers":
        header = {"lora_adapter_metadata": json.dumps({f"{part}.lora_alpha": alpha for part in networks})}
    return written(path / f"{style}.safetensors", found, header)


@pytest.mark.parametrize(
    ("style", "alpha"),
    [*((each, None) for each in STYLES if each != "diffusers"), *((each, 5.0) for each in STYLES if "kohya" in each)],
)
def test_every_tool_writes_the_same(networks, tmp_path, style, alpha):
    ours = weights_of(Adaptation(networks, [LoRA(file_of("diffusers", networks, tmp_path, alpha))]))
    theirs = weights_of(Adaptation(networks, [LoRA(file_of(style, networks, tmp_path, alpha))]))
    assert len(ours) == len(LAYERS) + len(WORDS)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[place], theirs[place]) for place in ours)
    down, up = tensors(networks["unet"].get_submodule(LAYERS[0]).weight.shape)
    layer = networks["unet"].get_submodule(LAYERS[0])
    expected = layer.weight.double() + up.double() @ down.double() * ((alpha or 3.0) / 3.0)
    torch.testing.assert_close(ours[id(layer._parameters), "weight"].double(), expected, rtol=1e-5, atol=1e-6)


def test_old_attention_processors(networks, tmp_path):
    found = {}
    for to, where in (("to_q", "to_q"), ("to_out", "to_out.0")):
        layer = networks["unet"].get_submodule(f"{ATTENTION}.attn1.{where}")
        down, up = tensors(layer.weight.shape)
        found |= {f"{ATTENTION}.attn1.processor.{to}_lora.{way}.weight": t for way, t in (("down", down), ("up", up))}
    swapped = weights_of(Adaptation(networks, [LoRA(written(tmp_path / "a.safetensors", found))]))
    assert {id(networks["unet"].get_submodule(f"{ATTENTION}.attn1.{w}")._parameters) for w in ("to_q", "to_out.0")} == {
        place for place, _ in swapped
    }


def test_numbered_layers_are_found_by_the_order_of_modules(networks, tmp_path):
    order = []
    for name, module in networks["unet"].named_modules():
        if type(module).__name__ in ("Attention", "GEGLU"):
            order += [f"{name}.{inner}" for inner, each in module.named_modules() if isinstance(each, torch.nn.Linear)]
    found, expected = {}, {}
    middle = [name for name in order if name.startswith("mid_block")]
    order = [name for name in order if name not in middle] + middle  # as it was in those days
    for i, name in enumerate(order):
        layer = networks["unet"].get_submodule(name)
        down, up = tensors(layer.weight.shape, seed=i)
        found |= {f"unet:{i}:down": down, f"unet:{i}:up": up}
        expected[id(layer._parameters)] = layer.weight + up @ down
    found["<s1>"] = torch.randn(24)
    header = {"unet": '["CrossAttention", "GEGLU"]', "<s1>": "<embed>"}
    adaptation = Adaptation(networks, [LoRA(written(tmp_path / "a.safetensors", found, header))])
    swapped = {place: value for (place, key), value in weights_of(adaptation).items() if key == "weight"}
    assert swapped.keys() == expected.keys()
    assert all(torch.allclose(swapped[place], expected[place], atol=1e-6) for place in swapped)
    assert adaptation.words is not None
    assert list(adaptation.words.ids) == ["<s1>"]


def test_compvis_names_are_those_of_diffusers_own_conversion(networks):
    """The keys of a single-file checkpoint, by stock diffusers' converter: every layer has its name."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    unet = make_unet(layers_per_block=2)
    layers = [name for name, each in unet.named_modules() if getattr(each, "weight", None) is not None]
    theirs = {
        name: torch.tensor([float(layers.index(of[0].layer))]) for name, of in compvis_unet.names(unet, set(layers))
    }
    assert {int(value) for value in theirs.values()} == set(range(len(layers)))
    assert len(theirs) == len(layers)
    stored = {
        f"model.diffusion_model.{key}.{end}": value for key, value in theirs.items() for end in ("weight", "bias")
    }
    for key, value in convert_ldm_unet_checkpoint(stored, dict(unet.config)).items():
        assert key.rpartition(".")[0] == layers[int(value)]


def test_a_difference_of_a_bias_beside_a_lora_is_used(networks, tmp_path):
    """As ComfyUI writes it of one layer."""
    name = f"{ATTENTION}.ff.net.2"
    layer = networks["unet"].get_submodule(name)
    down, up = tensors(layer.weight.shape)
    stem = f"diffusion_model.{name}"
    found = {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.diff_b": torch.ones(len(up))}
    swapped = weights_of(Adaptation(networks, [LoRA(written(tmp_path / "a.safetensors", found)) * 0.5]))
    assert torch.equal(swapped[id(layer._parameters), "bias"], layer.bias + 0.5)
    assert torch.equal(swapped[id(layer._parameters), "weight"], layer.weight + 0.5 * (up @ down))


def test_strange_keys_are_named(networks, tmp_path):
    layer = networks["unet"].get_submodule(LAYERS[0])
    down, up = tensors(layer.weight.shape)
    good = {f"unet.{LAYERS[0]}.lora_A.weight": down, f"unet.{LAYERS[0]}.lora_B.weight": up}
    for extra in ("unet.nowhere.lora_A.weight", "something_else"):
        path = written(tmp_path / "a.safetensors", {**good, extra: down})
        with pytest.raises(BadInput, match=rf"1 keys that fit no layer of this model: {extra}"):
            Adaptation(networks, [LoRA(path)])
    half = written(tmp_path / "b.safetensors", {f"unet.{LAYERS[0]}.lora_A.weight": down})
    with pytest.raises(BadInput, match="only half"):
        Adaptation(networks, [LoRA(half)])


def test_a_file_for_another_architecture_says_so(tmp_path):
    key = f"lora_unet_{kohya(ATTENTION)}_attn2_to_k"
    found = {f"{key}.lora_down.weight": torch.zeros(2, 768), f"{key}.lora_up.weight": torch.zeros(32, 2)}
    path = written(tmp_path / "sd1.safetensors", found)
    with pytest.raises(BadInput, match="made for Stable Diffusion 1, and this model is Stable Diffusion XL"):
        Adaptation({"unet": make_unet(2048)}, [LoRA(path)])
    flux = {
        f"lora_unet_double_blocks_0_img_attn_qkv.{end}": torch.zeros(2, 2)
        for end in ("lora_down.weight", "lora_up.weight")
    }
    with pytest.raises(BadInput, match=r"made for FLUX.1, and this model is Stable Diffusion 1\b"):
        Adaptation({"unet": make_unet(768)}, [LoRA(written(tmp_path / "flux.safetensors", flux))])


def test_a_pickle_is_read_only_where_it_is_allowed(networks, tmp_path):
    from sfumato.adapt import open_file

    layer = networks["unet"].get_submodule(LAYERS[0])
    down, up = tensors(layer.weight.shape)
    torch.save({f"unet.{LAYERS[0]}.lora_A.weight": down, f"unet.{LAYERS[0]}.lora_B.weight": up}, tmp_path / "a.bin")
    with pytest.raises(BadInput, match="pickle"):
        LoRA(tmp_path / "a.bin")
    allowed = LoRA(open_file(tmp_path / "a.bin", allow_pickle=True))
    assert len(weights_of(Adaptation(networks, [allowed]))) == 1
