"""Names to models: folders, the Hub's cache, and real models' configurations."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import sfumato
from sfumato.formats import PARAMETERIZATIONS, noise_schedule
from sfumato.picture import BadInput
from sfumato.zoo import built_ins
from sfumato.zoo.find import find

SHARED = Path(__file__).parents[3] / "shared" / "data" / "configs"


@pytest.fixture
def hub(tiny_model, tmp_path, monkeypatch) -> str:
    """A Hub model that was fetched before, in the cache's own layout, and no network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = tmp_path / "models--painter--tiny"
    shutil.copytree(tiny_model, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return "painter/tiny"


def test_a_hub_model_in_the_cache_loads_without_a_network(hub, tiny_model):
    there = sfumato.load(hub)
    assert there.name == hub
    here = sfumato.load(tiny_model)
    assert there("a boat", steps=2).image.tobytes() == here("a boat", steps=2).image.tobytes()


def test_a_hub_model_that_is_not_there_is_one_sentence(hub):
    with pytest.raises(BadInput, match="painter/none is not in the local cache") as caught:
        sfumato.load("painter/none")
    assert "\n" not in str(caught.value)


def test_a_folder_beats_a_hub_id_and_a_built_in_beats_a_folder(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "painter" / "tiny")
    assert find("painter/tiny") == Path("painter/tiny")
    for name in built_ins():
        os.mkdir(name)
        assert find(name).name == name
        assert find(name).is_absolute()


def test_an_unknown_engine_or_precision_names_the_known_ones(tiny_model):
    with pytest.raises(BadInput, match="eager, exact"):
        sfumato.load(tiny_model, engine="turbo")
    with pytest.raises(BadInput, match="float32, bfloat16"):
        sfumato.load(tiny_model, precision="int3")


def test_bfloat16_weights_stay_near_float32(tiny_model):
    import numpy as np

    low = sfumato.load(tiny_model, precision="bfloat16")("a boat", steps=3).image
    full = sfumato.load(tiny_model)("a boat", steps=3).image
    difference = np.abs(np.asarray(low, float) - np.asarray(full, float))
    assert 0 < difference.mean() < 6


@pytest.mark.skipif(not SHARED.is_dir(), reason="the configurations of real models are not beside this checkout")
def test_schedules_of_real_stable_diffusion_models():
    found = [p for p in SHARED.rglob("scheduler_config.json") if "beta_schedule" in p.read_text()]
    assert found
    read = 0
    for path in found:
        config = json.loads(path.read_text())
        schedule, parameterization = noise_schedule(config, str(path.parent))
        assert parameterization == PARAMETERIZATIONS[config.get("prediction_type", "epsilon")]
        alpha, sigma = schedule(1.0)
        if config["beta_end"] == 0.012:  # Stable Diffusion's own table
            assert float(alpha / sigma) == pytest.approx(0.0684, rel=0.02)
            read += 1
    assert read
