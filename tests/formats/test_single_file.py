"""Single files: read as the folder that they stand for, written from folders and back, and refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import sfumato
from sfumato.formats.convert import convert
from sfumato.picture import BadInput, PictureWarning
from sfumato.provenance import inspect_model
from sfumato.zoo import ZOO, find

TABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
U_NET = "model.diffusion_model."


def words(folder: Path) -> int:
    """A vocabulary of letters, framed as CLIP's; how many tokens it has."""
    pieces = ["!", *LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return len(pieces)


def small(folder: Path, two: bool = False, channels: int = 4) -> Path:
    """A folder of a tiny Stable Diffusion 1 or 2 of random weights, in the key structure of the true ones."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    vocabulary = words(folder / "tokenizer")
    marks = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    marks |= {"pad_token": "!" if two else "<|endoftext|>", "tokenizer_class": "CLIPTokenizer", "model_max_length": 77}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(marks))
    crosses, plain = ["CrossAttn{}Block2D"] * 3, ["{}Block2D"]
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        block_out_channels=(64, 64, 64, 64),
        layers_per_block=2,
        down_block_types=[each.format("Down") for each in (*crosses, *plain)],
        up_block_types=[each.format("Up") for each in (*plain, *crosses)],
        cross_attention_dim=64,
        attention_head_dim=[1] * 4 if two else 8,
        use_linear_projection=two,
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 32),
        layers_per_block=1,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        scaling_factor=0.18215,
        sample_size=512,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=1,
            max_position_embeddings=77,
            hidden_act="gelu" if two else "quick_gelu",
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
        )
    )
    for part, network in {"unet": unet, "vae": vae, "text_encoder": text}.items():
        network.save_pretrained(folder / part)
    prediction = "v_prediction" if two else "epsilon"
    DDIMScheduler(**TABLE, prediction_type=prediction).save_pretrained(folder / "scheduler")
    index = {"scheduler": "DDIMScheduler", "unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}
    index = {name: ["diffusers", kind] for name, kind in index.items()}
    index |= {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline", **index}))
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    return small(tmp_path_factory.mktemp("one") / "folder")


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    return small(tmp_path_factory.mktemp("two") / "folder", two=True)


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Callable[[Path], dict]:
    """The tensors of a folder in a single file's names."""
    made = tmp_path_factory.mktemp("converted")
    return cache(lambda folder: load_file(convert(folder, made / f"{folder.parent.name}.safetensors")))


@pytest.fixture
def bare(tmp_path: Path, converted) -> Callable[..., Path]:
    """bare(folder, change): the folder as other tools write it: tensors alone, and CLIP's words beside them."""

    def make(folder: Path, change: Callable[[dict], Any] = lambda tensors: None, name: str = "model") -> Path:
        tensors = dict(converted(folder))
        if not (tmp_path / "tokenizer").exists():
            words(tmp_path / "tokenizer")
        change(tensors)
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path)
        return path

    return make


def painted(model: Path | str, **options: Any) -> np.ndarray:
    size = {} if model == "mini" or "mini" in str(model) else {"width": 16, "height": 16}
    return np.asarray(sfumato.load(model, **options)("a red boat", steps=2, seed=3, **size).images[0])


def test_folder_to_file_to_folder_keeps_every_bit(tmp_path: Path) -> None:
    file = convert("mini", tmp_path / "mini.safetensors")
    folder = convert(file, tmp_path / "again")
    for part in ("unet", "vae", "text_encoder"):
        before: dict[str, torch.Tensor] = {}
        for shard in sorted((ZOO / "mini" / part).glob("*.safetensors")):
            before |= load_file(shard)
        (found,) = [load_file(path) for path in (folder / part).glob("*.safetensors")]
        after = {name.removeprefix("text_model."): tensor for name, tensor in found.items()}
        assert set(before) == set(after)
        assert all(
            torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before
        )
    assert np.array_equal(painted("mini"), painted(file))
    for other in (file, folder):  # and what suits it
        assert sfumato.load(other).capabilities.suits == sfumato.load("mini").capabilities.suits
    assert sfumato.load(file).weights.startswith("sha256:")
    with pytest.raises(BadInput, match="there already"):
        convert("mini", file)


def test_a_folder_that_could_not_be_written_whole_is_not_there(one: Path, bare, tmp_path: Path, monkeypatch) -> None:
    import sfumato.formats.convert as module

    file, written = bare(one), []

    def full(tensors: dict, path: Path, *rest: Any) -> None:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        save(tensors, path, *rest)

    save = module.save_tensors
    monkeypatch.setattr(module, "save_tensors", full)
    with pytest.raises(BadInput, match="again can't be written: No space left on device"):
        convert(file, tmp_path / "again")
    assert not [path for path in tmp_path.iterdir() if "again" in path.name]
    monkeypatch.setattr(module, "save_tensors", save)
    assert np.array_equal(painted(convert(file, tmp_path / "again")), painted(one))


def test_weights_that_can_t_be_written_are_a_sentence(tmp_path: Path) -> None:
    from sfumato.network.writing import save_tensors

    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(BadInput, match=r"a\.safetensors can't be written"):
        save_tensors({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"can't be written: .*not a folder"):
        save_tensors({"a": torch.ones(2)}, tmp_path / "file" / "a.safetensors")


def test_a_bare_file_of_stable_diffusion_one_paints_as_its_folder_does(one: Path, bare) -> None:
    file = bare(one)
    pipe = sfumato.load(file)
    assert np.array_equal(painted(one), painted(file))
    assert pipe.name == str(file.resolve())  # what a recipe keeps
    recipe = pipe.recipes("a boat", steps=1, width=16, height=16)[0]
    assert type(recipe).from_json(recipe.to_json()) == recipe


def test_half_precision_averages_and_an_autoencoder_of_its_own(one: Path, two: Path, bare) -> None:
    def halved(tensors: dict) -> None:
        tensors.update({name: tensor.half() for name, tensor in tensors.items()})
        tensors["model_ema.decay"] = torch.ones(())
        tensors["model_ema.diffusion_modelout2weight"] = torch.ones(3)
        tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]

    file = bare(one, halved, "half")
    with pytest.warns(PictureWarning, match=r"half\.safetensors also holds 2 averaged tensors"):
        before = painted(file)
    assert sfumato.load(file).stage.networks["unet"].dtype == torch.float32
    other = {name: tensor + 0.05 for name, tensor in load_file(two / "vae/diffusion_pytorch_model.safetensors").items()}
    from sfumato.formats.key_names import write_tensors
    from sfumato.formats.ldm_names import autoencoder_names

    save_file(write_tensors(other, "", autoencoder_names(2)), file.with_name("half.vae.safetensors"))
    with pytest.warns(PictureWarning):
        after = painted(file)
    assert not np.array_equal(before, after)
    vae = sfumato.load(file).stage.networks["vae"].state_dict()
    assert all(torch.equal(vae[name], tensor) for name, tensor in other.items())


@pytest.mark.parametrize("names", [("scale_weight", "scale_input"), ("weight_scale", "input_scale")])
def test_float8_weights_with_scales_beside_them(one: Path, bare, names: tuple[str, str]) -> None:
    prefix = "model.diffusion_model."
    plain: dict = {}

    def scaled(tensors: dict) -> None:
        layers = [name[:-7] for name in tensors if name.startswith(prefix) and name.endswith("to_q.weight")]
        assert layers
        for i, layer in enumerate(layers):
            weight = tensors[f"{layer}.weight"].float()
            largest = weight.abs().amax(1) if i % 2 else weight.abs().amax()  # one a row, or one for all
            scale = largest / 448
            stored = (weight / (scale[:, None] if i % 2 else scale)).to(torch.float8_e4m3fn)
            tensors[f"{layer}.weight"], tensors[f"{layer}.{names[0]}"] = stored, scale
            tensors[f"{layer}.{names[1]}"] = torch.ones(())
            plain[f"{layer}.weight"] = stored.float() * (scale[:, None] if i % 2 else scale)
            if names[0] == "weight_scale":
                said = json.dumps({"format": "float8_e4m3fn"}).encode()
                tensors[f"{layer}.comfy_quant"] = torch.tensor(list(said), dtype=torch.uint8)
        if names[0] == "scale_weight":
            tensors[f"{prefix}scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)

    file = bare(one, scaled, "scaled")
    assert np.array_equal(painted(file), painted(bare(one, lambda tensors: tensors.update(plain), "plain")))

    def of_four_bits(tensors: dict) -> None:
        scaled(tensors)
        name = next(iter(plain)).replace(".weight", ".comfy_quant")
        tensors[name] = torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)

    with pytest.raises(BadInput, match="as nvfp4; accepted are float8_e4m3fn and float8_e5m2"):
        sfumato.load(bare(one, of_four_bits, "four"))

    def alone(tensors: dict) -> None:
        tensors[next(iter(plain)).replace(".weight", f".{names[0]}")] = torch.ones(())

    with pytest.raises(BadInput, match="without a weight in float8 that it belongs to"):
        sfumato.load(bare(one, alone, "alone"))


def test_stable_diffusion_two_says_what_it_predicts_or_is_asked(two: Path, bare) -> None:
    def deeper(tensors: dict) -> None:  # the last layer is in such files and not run
        first = "cond_stage_model.model.transformer.resblocks.{}."
        named = [name for name in tensors if name.startswith(first.format(1))]
        tensors.update({name.replace(first.format(1), first.format(2)): tensors[name] + 1 for name in named})
        tensors["cond_stage_model.model.text_projection"] = torch.zeros(64, 64)

    silent = bare(two, deeper, "silent")
    assert "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight" in load_file(silent)
    with pytest.raises(BadInput, match=r"silent\.safetensors doesn't say what its network predicts.*\?prediction=v"):
        sfumato.load(silent)
    wanted = painted(two)
    assert np.array_equal(painted(f"{silent}?prediction=v"), wanted)
    assert not np.array_equal(painted(f"{silent}?prediction=epsilon"), wanted)
    assert sfumato.load(f"{silent}?prediction=v").name.endswith("silent.safetensors?prediction=v")

    def said(tensors: dict) -> None:
        deeper(tensors)
        tensors["v_pred"] = torch.zeros(0)

    assert np.array_equal(painted(bare(two, said, "said")), wanted)


def test_inpainting_is_known_by_its_nine_channels(tmp_path: Path, bare) -> None:
    from sfumato.formats import capabilities_of

    file = bare(small(tmp_path / "nine", channels=9))
    assert capabilities_of(find.find(file)).inpaints


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop(f"{U_NET}middle_block.1.norm.weight"), f"lacks {U_NET}middle_block.1.norm.weight"),
        (lambda t: t.update({f"{U_NET}extra": torch.ones(1)}), f"holds {U_NET}extra, which no network"),
        (lambda t: t.update({"lora.up": torch.ones(1)}), "holds lora.up, which no file"),
        (lambda t: t.update({f"{U_NET}out.2.bias": torch.ones(5)}), f"{U_NET}out.2.bias in the shape 5, where .* 4"),
        (lambda t: [t.pop(name) for name in list(t) if name.startswith("first")], "holds no vae: .*base=FOLDER"),
        (lambda t: [t.pop(name) for name in list(t) if name.startswith(U_NET)], "no model that is known by its names"),
    ],
)  # fmt: skip
def test_faults_are_one_sentence_with_the_file_and_the_key(one: Path, bare, change, said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("[", r"\[")) as error:
        sfumato.load(bare(one, change))
    assert "model.safetensors" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_was_cut_short_and_one_without_words(one: Path, bare, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sfumato.formats.single_words._cached", lambda name: [])
    file = bare(one)
    (tmp_path / "tokenizer" / "vocab.json").unlink()
    with pytest.raises(BadInput, match=r"CLIP's vocabulary, which is not here: .*hf download openai/clip"):
        sfumato.load(file)
    report = inspect_model(find.find(file))
    assert "CLIP's vocabulary, which is not here" in report.refused
    assert report.refused in report.text()
    assert report.parts["unet"]["parameters"] > report.parts["unet"]["largest"] > 0
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(BadInput, match=r"model\.safetensors is damaged \(it is cut short"):
        sfumato.load(file)


def test_a_pickle_is_read_when_it_is_allowed_and_for_its_tensors_alone(one: Path, bare, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(find, "_allowed", [])
    safe = bare(one)
    path = tmp_path / "old.ckpt"
    torch.save({"state_dict": load_file(safe), "global_step": 7}, path)
    with pytest.raises(BadInput, match=r"old\.ckpt is a pickle.*--allow-pickle"):
        sfumato.load(path)
    assert np.array_equal(painted(path, allow_pickle=True), painted(safe))
    evil = tmp_path / "evil.ckpt"
    torch.save({"state_dict": load_file(safe), "more": Path}, evil)
    with pytest.raises(BadInput, match="holds more than tensors"):
        sfumato.load(evil, allow_pickle=True)


def test_parts_that_a_file_lacks_come_from_a_folder(one: Path, bare, tmp_path) -> None:
    file = bare(one, lambda t: [t.pop(name) for name in list(t) if not name.startswith(U_NET)], "alone")
    with pytest.raises(BadInput, match=r"alone\.safetensors holds no vae"):
        sfumato.load(file)
    assert np.array_equal(painted(f"{file}?base={one}"), painted(one))
    assert np.array_equal(painted(convert(f"{file}?base={one}", tmp_path / "whole")), painted(one))
    with pytest.raises(BadInput, match="colour is nothing that can be said of a single file"):
        sfumato.load(f"{file}?colour=red")
