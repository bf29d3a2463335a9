"""Text encoders in files of their own, as ComfyUI has them beside FLUX.1 and Stable Diffusion 3; T5 in GGUF too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import gguf
import numpy as np
import pytest
import torch
from formats.test_gguf import stored, write
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import save_file
from stock import flux, stable_diffusion_3
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

import sfumato
from sfumato.formats import folder_of
from sfumato.formats.gguf_text import encoder_name
from sfumato.formats.key_names import write_tensors
from sfumato.formats.single_family import naming_of
from sfumato.formats.single_file import single_of
from sfumato.network.quantized import plain
from sfumato.picture import BadInput
from sfumato.provenance import inspect_model

TEXTS = ("a red boat", "Boats, 12 of them!", "the sea's   blue")
LLAMA = {
    "shared": "token_embd",
    "encoder.final_layer_norm": "enc.output_norm",
    "encoder.block.1.layer.0.SelfAttention.o": "enc.blk.1.attn_o",
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias": "enc.blk.0.attn_rel_b",
    "encoder.block.1.layer.1.DenseReluDense.wo": "enc.blk.1.ffn_down",
}


def t5(width: int = 32) -> Any:
    """A T5 of version 1.1, whose layers have gates."""
    sides = {"vocab_size": 80, "d_model": width, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    torch.manual_seed(1)
    return T5EncoderModel(T5Config(**sides, feed_forward_proj="gated-gelu", is_encoder_decoder=False)).eval()


def saved(network: Any, path: Path) -> Path:
    save_file({name: tensor.clone() for name, tensor in network.state_dict().items()}, path)
    return path


def written(network: Any, tokenizer: Any, path: Path, kind: Kind) -> Path:
    """T5 in GGUF under llama.cpp's names, which the library gguf knows, with its vocabulary."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5ENCODER, len(network.encoder.block))
    tensors = {names.get_name(name, (".weight",)): value for name, value in network.state_dict().items()}
    tensors.pop(None, None)  # the second name of the embedding
    words = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]
    writer = gguf.GGUFWriter(path, "t5encoder")
    writer.add_tokenizer_model("t5")
    writer.add_token_list([word for word, _ in words])
    writer.add_token_scores([score for _, score in words])
    for name, tensor in tensors.items():
        values = tensor.detach().float().numpy()
        if tensor.ndim == 2 and tensor.shape[1] % gguf.GGML_QUANT_SIZES[kind][0] == 0:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FLUX.1 as a folder and, in files/, as it lies in ComfyUI's folders; bare/ has neither encoders nor T5's words."""
    place = tmp_path_factory.mktemp("flux")
    built = flux.build()
    torch.manual_seed(0)
    words = built.text_encoder.config.to_dict() | {"num_attention_heads": 1}
    built.register_modules(text_encoder=CLIPTextModel(CLIPTextConfig(**words)).eval(), text_encoder_2=t5())
    built.save_pretrained(place / "whole")
    files = place / "files"
    files.mkdir()
    write(files / "unet.gguf", stored(built.transformer), Kind.F32)
    saved(built.text_encoder, files / "clip_l.safetensors")
    saved(built.text_encoder_2, files / "t5xxl.safetensors")
    written(built.text_encoder_2, built.tokenizer_2, files / "t5.gguf", Kind.F32)
    written(built.text_encoder_2, built.tokenizer_2, files / "t5-Q8_0.gguf", Kind.Q8_0)
    shutil.copytree(place / "whole", place / "bare")
    for part in ("text_encoder", "text_encoder_2", "tokenizer_2"):
        shutil.rmtree(place / "bare" / part)
    index = json.loads((place / "bare" / "model_index.json").read_text())
    for part in ("text_encoder", "text_encoder_2", "tokenizer_2"):
        del index[part]
    (place / "bare" / "model_index.json").write_text(json.dumps(index))
    return place


def named(model: Path, *texts: str, base: str = "bare") -> str:
    files = model / "files"
    return f"{files / 'unet.gguf'}?base={model / base}&text={','.join(str(files / each) for each in texts)}"


def painted(pipe: sfumato.Pipe) -> np.ndarray:
    return np.asarray(pipe("a red boat", width=32, height=24, steps=2, seed=3).image, int)


def test_encoders_apart_paint_as_the_folder_does(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = painted(sfumato.load(model / "whole"))
    files = ("clip_l.safetensors", "t5xxl.safetensors")
    for order in (files, files[::-1]):
        assert np.abs(painted(sfumato.load(named(model, *order, base="whole"))) - wanted).max() <= 1
    pipe = sfumato.load(named(model, "clip_l.safetensors", "t5.gguf"))
    assert np.abs(painted(pipe) - wanted).max() <= 1, "its words are those of the .gguf"
    whole = named(model, "clip_l.safetensors", "t5.gguf")
    assert pipe.recipes("a boat")[0].model == whole
    monkeypatch.chdir(model / "files")
    Path("epsilon").touch()
    near = sfumato.load("unet.gguf?base=../bare&text=clip_l.safetensors,t5.gguf&prediction=epsilon")
    assert near.recipes("a boat")[0].model == f"{whole}&prediction=epsilon", "which is read from anywhere"


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_t5_in_blocks_says_what_its_numbers_say(model: Path, precision: str) -> None:
    """The same layers on the numbers that the blocks stand for, in transformers' own class."""
    pipe = sfumato.load(named(model, "clip_l.safetensors", "t5-Q8_0.gguf"), precision=precision)
    ours, dtype = pipe.stage.networks["text_encoder_2"], getattr(torch, precision)
    own = T5EncoderModel.from_pretrained(model / "whole" / "text_encoder_2", torch_dtype=dtype)
    blocks = 0
    for name, layer in own.named_modules():
        if not isinstance(layer, torch.nn.Linear):
            continue
        found = ours.get_submodule(name)
        found = getattr(found, "layer", found)
        blocks += hasattr(found.weight, "quant_type")
        layer.weight.data = plain(found.weight).to(layer.weight)
    assert blocks == 14
    own.set_input_embeddings(ours.get_input_embeddings())
    ids = torch.tensor([[5, 9, 20, 1]])
    with torch.no_grad():
        one, other = (each(ids).last_hidden_state.float() for each in (ours, own))
    assert one.isfinite().all()
    assert (one - other).abs().max() <= {"float32": 1e-5}.get(precision, 2e-2) * other.abs().max()
    assert painted(pipe).std() > 0


def test_the_vocabulary_of_a_gguf_reads_texts_as_t5_s_own(model: Path) -> None:
    from transformers import T5TokenizerFast

    single = single_of(folder_of(named(model, "clip_l.safetensors", "t5.gguf")))
    assert single is not None
    ours = T5TokenizerFast.from_pretrained(single.folder / "tokenizer_2")
    own = T5TokenizerFast.from_pretrained(model / "whole" / "tokenizer_2")
    for text in TEXTS:
        assert ours(text).input_ids == own(text).input_ids


def test_llama_cpp_s_names_are_turned() -> None:
    for ours, theirs in LLAMA.items():
        assert encoder_name(f"{theirs}.weight") == f"{ours}.weight"
    assert encoder_name("double_blocks.0.img_attn.qkv.weight") == "double_blocks.0.img_attn.qkv.weight"


def test_stable_diffusion_3_has_three_and_projects_the_first_by_nothing(tmp_path: Path) -> None:
    """CLIP-L's file has no projection, or that of CLIP's own training: Stable Diffusion 3 uses none of it."""
    built = stable_diffusion_3.build()
    for name in ("text_encoder", "text_encoder_2"):
        encoder, act = getattr(built, name), "quick_gelu" if name == "text_encoder" else "gelu"
        words = encoder.config.to_dict() | {"num_attention_heads": 1, "hidden_act": act}
        torch.manual_seed(2)
        built.register_modules(**{name: type(encoder)(CLIPTextConfig(**words)).eval()})
    built.register_modules(text_encoder_3=t5(built.text_encoder_3.config.d_model))
    given = built.text_encoder.text_projection.weight.detach().clone()
    torch.nn.init.eye_(built.text_encoder.text_projection.weight)
    built.save_pretrained(tmp_path / "whole")
    wanted = np.asarray(sfumato.load(tmp_path / "whole")("a red boat", **SD3).image, int)
    file = tmp_path / "unet.gguf"
    write(file, stored(built.transformer), Kind.F32, "sd3")
    built.text_encoder.text_projection.weight.data = given
    clips = [
        saved(getattr(built, part), tmp_path / f"{part}.safetensors") for part in ("text_encoder", "text_encoder_2")
    ]
    texts = ",".join(map(str, [*clips, saved(built.text_encoder_3, tmp_path / "t5xxl.safetensors")]))
    pipe = sfumato.load(f"{file}?base={tmp_path / 'whole'}&text={texts}")
    assert np.abs(np.asarray(pipe("a red boat", **SD3).image, int) - wanted).max() <= 1


SD3: dict[str, Any] = {
    "width": stable_diffusion_3.SIZE[0], "height": stable_diffusion_3.SIZE[1], "steps": 2, "seed": 3
}  # fmt: skip


def test_what_lies_in_comfyui_s_folders_is_a_whole_model(model: Path, tmp_path: Path, monkeypatch) -> None:
    """Of true proportions, as no folder says any: transformer and T5 in GGUF, CLIP, autoencoder, and CLIP's words."""
    monkeypatch.setattr("sfumato.formats.single_words._cached", lambda name: [])
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    built = flux.build()
    torch.manual_seed(3)
    config = {**built.transformer.config, "attention_head_dim": 128, "num_attention_heads": 1, "in_channels": 64}
    config |= {"axes_dims_rope": (16, 56, 56)}
    known = {name: value for name, value in config.items() if not name.startswith("_")}
    vae = {**built.vae.config, "latent_channels": 16, "block_out_channels": (32, 32), "norm_num_groups": 32}
    vae |= {"scaling_factor": 0.3611, "shift_factor": 0.1159}
    built.register_modules(
        transformer=diffusers.FluxTransformer2DModel(**known).eval(),
        vae=diffusers.AutoencoderKL(**{name: value for name, value in vae.items() if not name.startswith("_")}).eval(),
    )
    whole = sfumato.load(model / "whole")
    built.register_modules(text_encoder=whole.stage.networks["text_encoder"], text_encoder_2=t5())
    built.scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)
    built.save_pretrained(tmp_path / "whole")
    write(tmp_path / "unet.gguf", stored(built.transformer), Kind.F32)
    naming = naming_of("AutoencoderKL", built.vae.config)
    assert naming is not None
    save_file(write_tensors(built.vae.state_dict(), "", naming), tmp_path / "ae.safetensors")
    shutil.copytree(model / "whole" / "tokenizer", tmp_path / "tokenizer")
    texts = f"{model / 'files' / 'clip_l.safetensors'},{model / 'files' / 't5.gguf'}"
    pipe = sfumato.load(f"{tmp_path / 'unet.gguf'}?text={texts}&vae={tmp_path / 'ae.safetensors'}")
    assert np.abs(painted(pipe) - painted(sfumato.load(tmp_path / "whole"))).max() <= 1


def test_inspect_names_encoders_apart(model: Path) -> None:
    report = inspect_model(folder_of(named(model, "clip_l.safetensors", "t5-Q8_0.gguf")))
    assert report.parts["text_encoder_2"]["class"] == "T5EncoderModel"
    assert 0 < report.parts["text_encoder_2"]["bytes"] < inspect_model(model / "whole").parts["text_encoder_2"]["bytes"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("t5xxl.safetensors", "t5.gguf"), "t5.gguf holds a T5, and FLUX.1 dev has no place for it"),
        (("clip_l.safetensors", "clip_l.safetensors"), "holds a CLIP, and FLUX.1 dev has no place for it"),
        (("unet.gguf",), "unet.gguf holds no text encoder that is known by its names"),
        (("none.safetensors",), "There is no text encoder"),
        (("clip_l.safetensors", "t5xxl.safetensors"), "take T5 in GGUF, which has it"),
        ((), r"holds no text_encoder: .*\?text=clip_l.safetensors,t5xxl.safetensors"),
    ],
)
def test_what_is_wrong_with_texts_is_one_sentence(model: Path, texts: tuple[str, ...], said: str, monkeypatch) -> None:
    monkeypatch.setattr("sfumato.formats.single_words._cached", lambda name: [])
    monkeypatch.setenv("SFUMATO_HOME", str(model / "home"))
    with pytest.raises(BadInput, match=said):
        sfumato.load(named(model, *texts))
