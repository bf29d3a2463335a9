"""Other people's folders: run as they were trained, or refused in one sentence that names what is in the way."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import sfumato
from sfumato.formats import FORMATS, Format, StableDiffusion, capabilities_of
from sfumato.formats.encoder_config import check_encoder_fields
from sfumato.formats.scheduler_config import OTHERS, TABLES, check_fields, noise_schedule
from sfumato.picture import BadInput
from sfumato.zoo import built_ins
from sfumato.zoo.find import find

UNET, VAE, TEXT = (
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
)
SCHEDULER, INDEX = "scheduler/scheduler_config.json", "model_index.json"


def refused(folder: Path, *words: str) -> str:
    """The one sentence with which a folder is refused; it must hold the words."""
    with pytest.raises(BadInput) as caught:
        sfumato.load(folder)
    said = str(caught.value)
    assert "\n" not in said
    assert said.isprintable()
    assert "meta tensor" not in said
    for word in words:
        assert word in said, said
    return said


@pytest.mark.parametrize("file", [UNET, VAE, TEXT])
def test_weights_that_are_missing_left_over_or_of_another_shape_are_named(variant, weights, file):
    def first(w: dict) -> str:
        return next(name for name in sorted(w) if w[name].ndim == 1)

    part = file.split("/")[0]
    for change, words in (
        (lambda w: {k: v for k, v in w.items() if k != first(w)}, "lacks weights"),
        (lambda w: {**w, "spare.weight": torch.zeros(2)}, "spare.weight"),
        (lambda w: {**w, first(w): torch.zeros(3)}, "shape"),
        (lambda w: {"module." + k: v for k, v in w.items()}, "lacks weights"),
    ):
        folder = variant()
        weights(folder / file, change)
        assert "download" not in refused(folder, part, words)


def test_a_file_cut_short_is_called_damaged_and_only_that(variant):
    folder = variant()
    whole = (folder / UNET).read_bytes()
    (folder / UNET).write_bytes(whole[: len(whole) // 2])
    refused(folder, "unet", "damaged or incomplete", "download it again")
    os.remove(folder / UNET)
    assert "damaged" not in refused(folder, "no weights of the unet", "diffusion_pytorch_model.safetensors is missing")


@pytest.mark.parametrize(
    ("file", "key", "part"), [(VAE, "decoder.conv_out.weight", "vae"), (UNET, "conv_out.bias", "unet")]
)
def test_what_answers_nan_saves_no_black_picture(variant, weights, file, key, part):
    folder = variant()
    weights(folder / file, lambda w: {**w, key: w[key] * float("nan")})
    with pytest.raises(BadInput, match=rf"{part}.* answered NaN"):
        sfumato.load(folder)("a blue boat", steps=2)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_processes_are_no_table_of_betas(variant, kind):
    refused(variant(SCHEDULER, _class_name=f"{kind}Scheduler"), f"{kind}Scheduler", "table of betas")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thresholding", True),
        ("use_flow_sigmas", True),
        ("shift", 3.0),
        ("timestep_type", "continuous"),
        ("sigma_max", 80.0),
        ("prediction_type", "flow_prediction"),
        ("beta_schedule", "sigmoid"),
        ("trained_betas", [0.1, 2.0]),
        ("num_train_timesteps", 0),
        ("num_train_timesteps", 10**9),
        ("entropy", 1),
    ],
)
def test_a_scheduler_s_field_is_understood_neutral_or_refused_by_name(variant, field, value):
    said = refused(variant(SCHEDULER, **{field: value}), "scheduler")
    assert field in said or str(value) in said or "betas" in said


def test_every_field_of_stock_schedulers_with_tables_is_known():
    import inspect

    import diffusers

    for kind in TABLES:
        fields = inspect.signature(getattr(diffusers, kind).__init__).parameters
        defaults = {name: field.default for name, field in fields.items() if field.kind == field.POSITIONAL_OR_KEYWORD}
        check_fields({"_class_name": kind, **{n: v for n, v in defaults.items() if n != "self"}}, "a model")


def test_epsilon_says_nothing_where_there_is_nothing_but_noise(variant):
    config = {"prediction_type": "epsilon", "rescale_betas_zero_snr": True}
    refused(variant(SCHEDULER, **config), "epsilon", "rescale_betas_zero_snr")
    sfumato.load(variant(SCHEDULER, **{**config, "prediction_type": "v_prediction"}))


def test_predict_epsilon_is_the_old_name_of_the_prediction():
    assert noise_schedule({"_class_name": "DDPMScheduler", "predict_epsilon": False}, "it")[1] == "x0"
    assert noise_schedule({"_class_name": "DDPMScheduler", "predict_epsilon": True}, "it")[1] == "eps"


def test_sample_size_may_be_a_list_or_nothing(variant):
    assert sfumato.load(variant("unet/config.json", sample_size=[16, 24])).size == (48, 32)
    assert sfumato.load(variant("unet/config.json", sample_size=None)).size == (128, 128)
    refused(variant("unet/config.json", sample_size=[16]), "sample_size")
    refused(variant("unet/config.json", sample_size="large"), "sample_size")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("class_embed_type", "timestep"),
        ("addition_embed_type", "text_time"),
        ("num_class_embeds", 10),
        ("encoder_hid_dim_type", "ip_image_proj"),
        ("attention_type", "gated"),
        ("flavour", "strange"),
    ],
)
def test_a_network_that_wants_to_be_told_more_is_refused(variant, field, value):
    refused(variant("unet/config.json", **{field: value}), "unet", field)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("text_encoder/config.json", {"num_hidden_layers": 10**7}),
        ("unet/config.json", {"layers_per_block": 10**7}),
        ("unet/config.json", {"block_out_channels": [32] * 10**5}),
        ("vae/config.json", {"layers_per_block": 10**7}),
    ],
)
def test_numbers_that_no_network_has_are_refused_before_anything_is_built(variant, file, changes):
    refused(variant(file, **changes), file.split("/")[0], "are read")


def test_tokenizers_without_padding_or_room_and_with_words_of_their_own(variant):
    refused(variant("tokenizer/tokenizer_config.json", pad_token=None), "tokenizer", "pad_token")
    for length in (0, 2):
        refused(variant("tokenizer/tokenizer_config.json", model_max_length=length), "model_max_length")
    from transformers import CLIPTokenizer

    folder = variant()
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    tokenizer.add_tokens("<cat>")
    tokenizer.save_pretrained(folder / "tokenizer")
    refused(folder, "tokenizer", "<cat>")


def test_an_added_word_that_is_embedded_is_one_word_of_a_prompt(variant, weights):
    from transformers import CLIPTokenizer

    folder = variant()
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    tokenizer.add_tokens("<cat>")
    tokenizer.save_pretrained(folder / "tokenizer")
    name = "embeddings.token_embedding.weight"
    weights(folder / TEXT, lambda w: {k: torch.cat([v, v[:1]]) if k.endswith(name) else v for k, v in w.items()})
    config = folder / "text_encoder" / "config.json"
    said = json.loads(config.read_text())
    config.write_text(json.dumps({**said, "vocab_size": said["vocab_size"] + 1}))
    stage = sfumato.load(folder).stage
    words = stage.words("a <cat> hat")
    assert words is not None
    assert words.words == ("a", "<cat>", "hat")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("file", [UNET, "unet/config.json", SCHEDULER, "tokenizer/vocab.json", INDEX])
@pytest.mark.timeout(60)
def test_a_pipe_in_a_folder_is_not_waited_for(variant, file):
    folder = variant()
    if (folder / file).exists():
        os.remove(folder / file)
    os.mkfifo(folder / file)
    with pytest.raises(BadInput):
        sfumato.load(folder)


@pytest.mark.parametrize("name", ["../other", "/etc", "..", "a/b"])
def test_parts_lie_in_the_folder(variant, name):
    refused(variant(INDEX, **{name: ["diffusers", "UNet2DModel"]}), "names a part")


def test_what_an_index_says_reaches_no_terminal(variant):
    refused(variant(INDEX, unet=["diffusers", "\x1b[2JUNet"]), "no known family")
    refused(variant(INDEX, _class_name="\x1b]0;Flux", unet=["diffusers", "Other"]))


@pytest.mark.parametrize(
    ("pipeline", "family"),
    [
        ("StableCascadeDecoderPipeline", "Stable Cascade"),
        ("StableDiffusion3ControlNetPipeline", "Stable Diffusion 3 with a ControlNet"),
        ("FluxControlPipeline", "FLUX.1 with a control"),
        ("KandinskyPipeline", "another Kandinsky than 2.2"),
        ("StableDiffusionControlNetPipeline", "ControlNet"),
    ],
)
def test_families_that_are_not_run_are_refused_by_name(variant, pipeline, family):
    folder = variant(INDEX, _class_name=pipeline)
    refused(folder, family)
    with pytest.raises(BadInput, match="not run"):
        capabilities_of(folder)


def test_a_controlnet_in_the_folder_is_not_passed_over(variant):
    refused(variant(INDEX, controlnet=["diffusers", "ControlNetModel"]), "ControlNet")
    refused(variant(INDEX, oracle=["diffusers", "Oracle"]), "oracle")
    sfumato.load(variant(INDEX, safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"]))


@pytest.mark.parametrize("kind", ["UNet2DModel", "SD3Transformer2DModel"])
def test_another_network_in_the_place_of_the_u_net_is_named(variant, kind):
    refused(variant(INDEX, unet=["diffusers", kind]), f"unet is a {kind}; accepted is UNet2DConditionModel")


def test_ddpm_repositories_with_their_files_at_the_root_load(pixel_model, tmp_path):
    folder = tmp_path / "ddpm"
    shutil.copytree(pixel_model(how=None), folder)
    for part in ("unet", "scheduler"):
        for path in (folder / part).iterdir():
            shutil.move(path, folder / path.name)
        (folder / part).rmdir()
    flat, deep = (sfumato.load(f)(steps=2, seed=3).image for f in (folder, pixel_model(how=None)))
    assert flat.tobytes() == deep.tobytes()


def test_a_folder_of_float16_alone_loads(variant, weights):
    folder = variant()
    for file in (UNET, VAE, TEXT):
        weights(folder / file, lambda w: {k: v.half() if v.is_floating_point() else v for k, v in w.items()})
        os.rename(folder / file, (folder / file).with_suffix(".fp16.safetensors"))
    pipe = sfumato.load(folder)
    assert next(pipe.stage.networks["unet"].parameters()).dtype == torch.float32
    whole = sfumato.load(variant())
    a, b = (np.asarray(p("a boat", steps=2, seed=1).image, int) for p in (pipe, whole))
    assert abs(a - b).mean() < 3


def test_libraries_keep_their_lines_to_themselves(variant, weights, capfd):
    folder = variant()
    weights(folder / TEXT, lambda w: {k: v for k, v in w.items() if "final_layer_norm" not in k})
    refused(folder, "final_layer_norm")
    sfumato.load(variant())
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_clip_sample_is_obeyed(pixel_model, variant):
    from sfumato.guide import StaticThreshold

    folder = pixel_model(how=None)
    plain = {"sampler": "ddpm", "steps": 6, "seed": 3}
    clipped = sfumato.load(variant(SCHEDULER, folder, clip_sample=True, clip_sample_range=0.9))
    held = sfumato.load(folder)(guidance=[StaticThreshold(0.9)], **plain).image
    assert clipped(**plain).image.tobytes() == held.tobytes()
    assert held.tobytes() != sfumato.load(folder)(**plain).image.tobytes()


@pytest.mark.parametrize("name", built_ins())
def test_what_json_says_of_a_model_is_what_its_encoders_can_be_told(name):
    assert sfumato.load(name).stage.capabilities == capabilities_of(find(name))


def test_one_bad_model_in_the_cache_leaves_the_others_in_the_list(variant, tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    from sfumato.provenance import known_models

    cache = tmp_path / "hub"
    for name, folder in {
        "bad": variant("unet/config.json", in_channels="many", out_channels=None),
        "cascade": variant(INDEX, _class_name="StableCascadePipeline"),
        "good": variant(),
    }.items():
        shutil.copytree(folder, cache / f"models--painter--{name}" / "snapshots" / "0")
    (cache / "models--painter--bad" / "snapshots" / "0" / UNET).write_bytes(b"x")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    lines = {report.name: report.line() for report in known_models()}
    assert "takes words" in lines["painter/good"]
    assert "can't be run here" in lines["painter/cascade"]
    assert "unet" in lines["painter/bad"]  # which says why it can't be read
    assert "takes words" not in lines["painter/bad"]


def test_a_text_encoder_of_another_type_is_refused_and_both_towers_config_is_not(variant):
    refused(variant("text_encoder/config.json", model_type="bert"), "text_encoder", "type bert", "clip_text_model")
    sfumato.load(variant("text_encoder/config.json", model_type="clip"))


def test_a_stranger_s_family_is_one_class(tiny_model, variant):
    class Mine(Format):
        title = "mine"

        def detect(self, folder):
            return (folder / "mine").is_file()

        def capabilities(self, folder):
            return StableDiffusion().capabilities(folder)

        def read(self, parts, engine):
            return StableDiffusion().read(parts, engine)

    folder = variant(INDEX, unet=["mine", "Network"])
    (folder / "mine").touch()
    refused(folder, "no known family")
    FORMATS.add("mine", Mine())
    try:
        with pytest.raises(BadInput, match="unet is a Network"):
            sfumato.load(folder)
        assert capabilities_of(folder).text
    finally:
        FORMATS.remove("mine")
    refused(folder, "no known family")


def test_a_field_of_a_text_encoder_that_its_class_does_not_know_is_refused(variant):
    refused(variant("text_encoder/config.json", attention_window=128), "text_encoder", "attention_window", "128")
    sfumato.load(variant("text_encoder/config.json", attention_window=None, dropout=0.1, _commit_hash="0f3a"))


PUBLISHED = {
    "CLIPConfig": {"text_config_dict": {"dropout": 0.1}, "vision_config": {"dropout": 0.1}},
    "CLIPTextConfig": {"architectures": ["CLIPTextModel"], "dropout": 0.1, "torch_dtype": "float32"},
    "T5Config": {"decoder_start_token_id": 1, "n_positions": 512, "output_past": True},
    "Qwen3Config": {"rope_theta": 1e6, "use_cache": True, "max_window_layers": 36},
    "Gemma2Config": {"hidden_act": "gelu_pytorch_tanh", "rope_theta": 1e4, "cache_implementation": "hybrid"},
    "Qwen2_5_VLConfig": {
        "hidden_size": 3584,
        "rope_theta": 1e6,
        "vision_token_id": 151654,
        "text_config": {"image_token_id": 151655, "rope_theta": 1e6, "use_sliding_window": True},
        "vision_config": {"in_chans": 3, "spatial_patch_size": 14},
    },
    "Mistral3Config": {
        "image_token_index": 10,
        "text_config": {"rope_theta": 1e9},
        "vision_config": {"patch_size": 14},
    },
    "BertConfig": {"position_embedding_type": "absolute", "pooler_type": "first_token_transform"},
}
"""Fields of encoders' configs as they are published that no class of today's transformers has, or by another name."""


@pytest.mark.parametrize("kind", PUBLISHED)
def test_old_fields_of_published_encoders_say_nothing(kind):
    import transformers

    made = getattr(transformers, kind)
    check_encoder_fields(made, PUBLISHED[kind], "text_encoder")
    for strange in ({"attention_window": 128}, {"text_config": {"attention_window": 128}}):
        if "text_config" not in strange or "text_config" in made.sub_configs:
            with pytest.raises(BadInput, match="attention_window"):
                check_encoder_fields(made, {**PUBLISHED[kind], **strange}, "text_encoder")


def test_positions_that_are_not_a_berts_of_today_are_refused():
    from transformers import BertConfig, CLIPTextConfig

    with pytest.raises(BadInput, match="relative_key"):
        check_encoder_fields(BertConfig, {"position_embedding_type": "relative_key"}, "bert")
    with pytest.raises(BadInput, match="rope_theta"):  # of a class that has none
        check_encoder_fields(CLIPTextConfig, {"rope_theta": 1e4}, "text_encoder")
