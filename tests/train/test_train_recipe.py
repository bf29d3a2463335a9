"""Recipes: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sfumato.picture import BadInput
from sfumato.train import recipe as r


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(BadInput) as caught:
        r.load(write(folder, text), overrides)
    assert "\n" not in str(caught.value)
    assert "mine.yaml" in str(caught.value) or overrides
    return str(caught.value)


@pytest.mark.parametrize("path", r.shipped().values(), ids=lambda p: p.stem)
def test_shipped_recipes_are_valid_and_resolve_to_themselves(path):
    recipe = r.load(path)
    assert r.validate(yaml.safe_load(r.resolved(recipe))) == recipe
    assert recipe.name == path.stem


def test_a_shipped_recipe_is_found_by_name_and_a_near_name_is_offered():
    assert r.find("mini-clip").name == "mini-clip.yaml"
    with pytest.raises(BadInput, match="did you mean 'mini-clip'"):
        r.find("mini-clp")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: autoencoder\noptimiser: {lr: 1}", "unknown key 'optimiser': did you mean 'optimizer'?"),
        ("task: clip\nnetwork: {text: {widht: 3}}", "network.text: unknown key 'widht': did you mean 'width'?"),
        ("task: autoencoder\ndata: {kind: vignettes, sise: 64}", "data: unknown key 'sise': did you mean 'size'?"),
        ("task: judge\nzzz: 1", "unknown key 'zzz': accepted are task, name, data"),
        ("task: painter", "'points', 't2i-adapter', 'text-pixels' (did you mean 'inpaint'?)"),
        ("steps: 3", "task must be one of"),
        (
            "task: judge\ndata: {kind: web}",
            "data.kind: must be one of 'arrays', 'folder', 'instructions', 'kohya', 'tars', 'vignettes'",
        ),
        ("task: judge\nsteps: 0", "steps: input should be greater than 0 (given: 0)"),
        ("task: judge\nsteps: many", "steps: input should be a valid integer"),
        ("task: judge\noptimizer: {lr: .nan}", "optimizer.lr: "),
        ("task: judge\nema: {decay: 1.0}", "ema.decay: input should be less than 1"),
        ("task: diffusion\nobjective: {weighting: {kind: minsnr}}", "objective.weighting.kind must be one of"),
        (
            "task: diffusion\nobjective: {weighting: {gamma: 2}}",
            "objective.weighting.kind must be one of 'uniform', 'simple'",
        ),
        ("task: diffusion\nobjective: {weighting: {kind: min-snr, gama: 1}}", "did you mean 'gamma'?"),
        ("task: diffusion\nnetwork: {heads: [1, 2]}", "one entry for each level"),
        ("task: autoencoder\nnetwork: {channels: [20]}", "can't be split into 16 groups"),
        ("task: autoencoder\ndecoder_only: true", "decoder_only needs 'begin'"),
        (
            "task: autoencoder\nbegin: mini\ndecoder_only: true\nalign: {model: mini}\nnetwork: {latent_channels: 8}",
            "decoder_only keeps the latents as they are, and align moves them",
        ),
        (
            "task: autoencoder\ndata: {kind: vignettes, size: 50}\nnetwork: {channels: [16, 16, 16]}",
            "data.size 50 is not a multiple of 4",
        ),
        (
            "task: pixels\nobjective: {parameterization: eps, schedule: {kind: linear, zero_terminal: true}}",
            "eps says nothing of the picture where all is noise",
        ),
        (
            "task: pixels\nnetwork: {channels: [16, 16], attention: [false, false]}",
            "channels 16 must be a multiple of groups and, where there is attention, of head",
        ),
        ("task: personalize\ndata: {kind: vignettes, repeat: {hat: 2}}", "data.repeat: every picture of a subject"),
        ("task: personalize\ndata: {kind: folder, path: p, size: 128}", "is said by 'size': leave data.size out"),
        ("task: judge\ndata: {kind: vignettes, size: 4}", "data.size: input should be greater than or equal to 16"),
        ("task: [", "is not valid YAML in line"),
        ("just words", "holds no keys"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_sentence(tmp_path, text, said):
    assert said in refusal(tmp_path, text)


def test_overrides_are_yaml_and_checked_like_the_file(tmp_path):
    path = write(tmp_path, "task: clip\noptimizer: {lr: 1.0e-3}")
    recipe = r.load(path, ["optimizer.lr=2e-4", "data.count=7", "network.text.width=64", "minutes=null"])
    assert recipe.optimizer.lr == 2e-4
    assert recipe.data.count == 7
    assert recipe.network.text.width == 64
    assert "did you mean 'optimizer'" in refusal(tmp_path, "task: clip", "optimzer.lr=3")
    assert "not of the form key=value" in refusal(tmp_path, "task: clip", "steps")


def test_differences_name_what_changes_a_run_and_nothing_else(tmp_path):
    one = r.load(write(tmp_path, "task: judge"))
    other = one.model_copy(update={"batch": 3, "keep": 5, "steps": 12, "workers": 1, "threads": 2})
    assert r.differences(one, other) == ["batch"]


def test_a_recipe_that_is_no_text(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(BadInput, match="can't be read as text"):
        r.load(path)
