"""Image to image, inpainting, an instruction held outside a mask, ControlNets and image prompts of every family beside
the pipelines that stock diffusers has of them."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
import stock
from stock.beside import EDITS, apart

import sfumato

FAMILIES = [
    each.name
    for each in pkgutil.iter_modules(stock.__path__)
    if hasattr(importlib.import_module(f"stock.{each.name}"), "guided")
]


@pytest.mark.parametrize("name", FAMILIES)
def test_an_edit_ends_where_stocks_own_pipeline_of_it_does(name: str, tmp_path: Path):
    family = importlib.import_module(f"stock.{name}")
    theirs = family.build()
    theirs.save_pretrained(tmp_path / "model")
    pipe = sfumato.load(tmp_path / "model")
    found = {edit: apart(family, theirs, pipe, edit, tmp_path / edit) for edit in EDITS}
    errors = {edit: each for edit, each in found.items() if each is not None}
    assert errors
    assert max(errors.values()) < 1e-4, errors
