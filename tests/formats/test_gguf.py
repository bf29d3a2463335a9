"""GGUF files: the transformer of a family in blocks of a few bits, in the place of a folder's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import save_file

import sfumato
from sfumato.adapt import LoRA
from sfumato.formats import folder_of
from sfumato.formats.convert import convert
from sfumato.formats.key_names import write_tensors
from sfumato.formats.single_family import naming_of
from sfumato.formats.single_file import described, single_of
from sfumato.network import quantized
from sfumato.picture import BadInput
from sfumato.provenance import inspect_model

FAMILIES = ("flux", "stable_diffusion_3", "qwen_image", "z_image")
QUICK: dict[str, Any] = {"steps": 2, "seed": 3}
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model of a family."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            import_module(f"stock.{family}").build().save_pretrained(made[family])
        return made[family]

    return folder


def stored(network: Any) -> dict[str, torch.Tensor]:
    """A transformer's tensors under its makers' names."""
    naming = naming_of(type(network).__name__, network.config)
    assert naming is not None
    return write_tensors(network.state_dict(), "", naming)


def write(path: Path, tensors: dict[str, torch.Tensor], kind: Kind, architecture: str = "flux") -> Path:
    """A .gguf as city96 writes it: matrices in blocks where a row is so many, vectors in float32."""
    writer = gguf.GGUFWriter(path, architecture)
    block = gguf.GGML_QUANT_SIZES[kind][0]
    for name, tensor in tensors.items():
        values = tensor.detach().float().numpy()
        if tensor.ndim == 2 and tensor.shape[1] % block == 0:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values if tensor.ndim < 2 else values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_takes_the_place_of_a_folder_s_transformer(family: str, folders: Any, tmp_path: Path) -> None:
    """F16 is the folder's own model rounded to float16, Q8_0 to 127 steps either side of 0: by half a step at most."""
    own = sfumato.load(folders(family))
    network = own.stage.networks["transformer"]
    tensors = stored(network)
    for kind, worst in ((Kind.F16, 2**-11), (Kind.Q8_0, 0.51 / 127)):
        file = write(tmp_path / f"{kind.name}.gguf", tensors, kind)
        pipe = sfumato.load(folders(family), transformer=file)
        ours = pipe.stage.networks["transformer"]
        blocks = 0
        for name, layer in network.named_modules():
            if not isinstance(layer, torch.nn.Linear):
                continue
            other = ours.get_submodule(name)
            given = torch.randn(5, layer.in_features, generator=torch.Generator().manual_seed(1))
            blocks += hasattr(other.weight, "quant_type")
            largest = layer.weight.detach().abs().amax(1)
            allowed = worst * given.abs().sum(1, keepdim=True) * largest
            assert ((other(given) - layer(given)).abs() <= allowed + 1e-6).all(), name
        assert bool(blocks) == (kind == Kind.Q8_0)
        size = import_module(f"stock.{family}").SIZE
        made = [np.asarray(p("a red boat", width=size[0], height=size[1], **QUICK).images[0], int) for p in (pipe, own)]
        assert np.abs(made[0] - made[1]).mean() <= 8
        assert pipe.recipes("a boat")[0].model == f"{file}?base={folders(family).resolve()}"


def test_adapters_change_blocks_as_they_change_the_numbers_in_them(folders: Any, tmp_path: Path) -> None:
    own = sfumato.load(folders("flux"))
    tensors = stored(own.stage.networks["transformer"])
    pipe = sfumato.load(folders("flux"), transformer=write(tmp_path / "a.gguf", tensors, Kind.Q8_0))
    ours = pipe.stage.networks["transformer"]
    for name, layer in own.stage.networks["transformer"].named_modules():  # the same numbers, in no blocks
        if isinstance(layer, torch.nn.Linear) and hasattr(ours.get_submodule(name).weight, "quant_type"):
            rounded = gguf.dequantize(ours.get_submodule(name).weight.detach().numpy(), Kind.Q8_0)
            layer.weight.data = torch.from_numpy(rounded)
        elif isinstance(layer, torch.nn.Linear):
            layer.weight.data = ours.get_submodule(name).weight.data.clone()
    layer = "transformer_blocks.0.attn.to_q"
    sides = {"A": torch.ones(1, 32), "B": torch.ones(32, 1)}
    pair = {f"transformer.{layer}.lora_{side}.weight": each for side, each in sides.items()}
    save_file(pair, tmp_path / "a.safetensors")
    plain = pipe("a boat", width=32, height=24, **QUICK).image.tobytes()
    pictures = []
    for each in (pipe, own):
        with each.attach(LoRA(tmp_path / "a.safetensors") * 0.5):
            pictures.append(np.asarray(each("a boat", width=32, height=24, **QUICK).image, int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    assert pictures[0].tobytes() != np.frombuffer(plain, np.uint8).astype(int).tobytes()
    assert pipe("a boat", width=32, height=24, **QUICK).image.tobytes() == plain, "detached, nothing is left"


def test_what_is_wrong_with_a_file_or_its_place_is_one_sentence(folders: Any, tmp_path: Path) -> None:
    flux = folders("flux")
    tensors = stored(sfumato.load(flux).stage.networks["transformer"])
    file = write(tmp_path / "a.gguf", tensors, Kind.Q4_0)
    single = single_of(folder_of(file))
    assert single is not None
    told = described(single)["transformer"]
    assert (told["class"], told["types"]) == ("FluxTransformer2DModel", ["F16", "F32", "Q4_0"])
    assert told["bytes"] < 2 * told["parameters"]
    whole, quantised = (inspect_model(name).memory["float32"]["none"] for name in (flux, f"{file}?base={flux}"))
    assert whole - quantised == 4 * told["parameters"] - told["bytes"]
    with pytest.raises(BadInput, match=r"a\.gguf holds no vae.*\?base=FOLDER"):
        sfumato.load(file)
    with pytest.raises(BadInput, match=r"holds a FluxTransformer2DModel, and the transformer of .* is a SD3"):
        sfumato.load(folders("stable_diffusion_3"), transformer=file)
    with pytest.raises(BadInput, match="There is no transformer nowhere"):
        sfumato.load(flux, transformer="nowhere.gguf")
    with pytest.raises(BadInput, match=r"a\.gguf holds blocks"):
        convert(f"{file}?base={flux}", tmp_path / "folder")
    with pytest.raises(BadInput, match="quantised already"):
        sfumato.load(flux, transformer=file, precision="float8")
    lacking = {name: each for name, each in tensors.items() if not name.startswith("time_in")}
    write(tmp_path / "b.gguf", lacking, Kind.Q8_0)
    with pytest.raises(BadInput, match="lacks time_in"):
        sfumato.load(flux, transformer=tmp_path / "b.gguf")
    (tmp_path / "c.gguf").write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(BadInput, match=r"c\.gguf is damaged"):
        sfumato.load(flux, transformer=tmp_path / "c.gguf")


@pytest.mark.parametrize("part", ["transformer", "text_encoder_2"])
def test_weights_that_bitsandbytes_quantised_need_it_and_a_gpu(
    part: str, folders: Any, tmp_path: Path, monkeypatch
) -> None:
    folder = tmp_path / "quantised"
    shutil.copytree(folders("flux"), folder)
    config = folder / part / "config.json"

    def said(method: str) -> str:
        more = {"quantization_config": {"quant_method": method, "load_in_4bit": True}}
        config.write_text(json.dumps({**json.loads(config.read_text()), **more}))
        with pytest.raises(BadInput) as found:
            sfumato.load(folder)
        return str(found.value)

    assert f"The weights of the {part} of the model" in said("gptq")
    assert "by gptq; accepted are bitsandbytes" in said("gptq")
    monkeypatch.setattr(quantized, "find_spec", lambda name: None)
    assert "install it with pip install 'sfumato[quantized]'" in said("bitsandbytes")
    monkeypatch.setattr(quantized, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "needs a GPU, and there is none here" in said("bitsandbytes")
