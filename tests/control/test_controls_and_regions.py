"""Controls beside regions: a ControlNet reads the general prompt, an image prompt is looked at everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import sfumato
from sfumato import Region
from sfumato.control import ControlNet, IPAdapter, T2IAdapter
from sfumato.network import residuals


@pytest.mark.parametrize("method", ["attention", "mixing"])
def test_controls_go_with_regions(attentive, nets, maps, method, monkeypatch):
    pipe = sfumato.load(attentive)
    lengths = []
    known = residuals._general

    def general(told, condition):
        found = known(told, condition)
        lengths.append((found["text"].shape[1], found.get("text_mask")))
        return found

    monkeypatch.setattr(residuals, "_general", general)
    mask = Image.new("L", (32, 32))
    mask.paste(255, (0, 0, 16, 32))
    controls = [ControlNet(maps[0], nets["crossed"]), T2IAdapter(maps[0], nets["t2i"]) * 0.5]
    regions = {"regions": [Region("a cat", mask), Region("a tree", box=(0.5, 0, 1, 1))], "regional": method}

    def painted(*controls, **options) -> np.ndarray:
        return np.asarray(pipe("a boat", controls=controls, steps=2, seed=3, **options).image).astype(int)

    plain, controlled = painted(**regions), painted(*controls, **regions)
    assert set(lengths) == {(48, None)}  # of one text, however many are attended to
    assert np.abs(controlled - plain).max() > 1
    assert np.abs(controlled - painted(*controls)).max() > 1
    assert np.array_equal(painted(*(0 * control for control in controls), **regions), plain)


def test_image_prompts_go_with_regions(tiny_model, nets, maps):
    pipe = sfumato.load(tiny_model)
    regions = [Region("a cat", box=(0, 0, 0.5, 1))]

    def painted(weight: float) -> np.ndarray:
        prompts = [IPAdapter(maps[0], nets["ip"], weight)]
        return np.asarray(pipe("a boat", controls=prompts, regions=regions, steps=2).image).astype(int)

    assert np.abs(painted(1.0) - painted(0.0)).max() > 1
