"""Every family of models x every start, hold, guidance, sampler, control, adapter and composite, in pairs.

For each family (a tiny stock pipeline of random weights, saved as a folder) combinations are drawn until every value of
every axis was in one. Each runs and keeps what its parts promise; a value that the family can't be asked for is refused
in one sentence that names it.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import stock
from stock.edits import array, photo

import sfumato
from sfumato.control import ControlNet, IPAdapter
from sfumato.guide import CFGPlusPlus, ClassifierFree, Distilled, PerturbedAttention
from sfumato.picture import BadInput

MODULES = {each.name: importlib.import_module(f"stock.{each.name}") for each in pkgutil.iter_modules(stock.__path__)}
FAMILIES = {name: module for name, module in MODULES.items() if hasattr(module, "NAME")}
AXES: dict[str, tuple[str, ...]] = {
    "start": ("noise", "sdedit", "inverted", "edit-friendly", "between"),
    "hold": ("nothing", "outside", "soft", "low-pass", "inferred"),
    "guidance": ("none", "classifier-free", "cfg++", "perturbed", "distilled"),
    "sampler": ("ddim", "dpmpp-2m", "heun", "ddpm", "consistency"),
    "control": ("none", "controlnet", "ip-adapter"),
    "adapter": ("none", "lora"),
    "composite": ("none", "paste", "poisson"),
}


class Asked:
    """What can be asked of a family, by the names of the axes, and what refuses the rest."""

    def __init__(self, family: families.Family) -> None:
        self.family, can = family, family.can
        self.refused: dict[tuple[str, str], str] = {}
        if not can.distilled:
            self.refused["guidance", "distilled"] = "No guidance was distilled into"
        if getattr(family.pipe.stage.denoiser, "consistency", False):
            self.refused["start", "edit-friendly"] = "ancestral sampling its noise"
            for value in AXES["sampler"][:-1]:
                self.refused["sampler", value] = "is a consistency function"
        if can.joint:
            self.refused["guidance", "perturbed"] = "its attention can't be directed"
        if not (can.text or can.references or can.none is not None):
            for value in ("classifier-free", "cfg++"):
                self.refused["guidance", value] = "nothing to guide by"
        if can.references and not can.text and not can.suits.guidance:  # planes beside the noise, which never drop
            for value in ("classifier-free", "cfg++"):
                self.refused["guidance", value] = "nothing to drop"
        for value, takes in (("controlnet", ControlNet.takes), ("ip-adapter", IPAdapter.takes)):
            if takes not in can.controls:
                self.refused["control", value] = f"obeys no {value}"
        self.attends = "mid" if hasattr(family.network, "mid_block") else "transformer_blocks.0"
        self.lora = families.lora_file(family)
        self.nets = {"controlnet": families.control_network(family), "ip-adapter": families.image_prompt(family)}

    def values(self, axis: str) -> list[str]:
        there = [value for value in AXES[axis] if (axis, value) not in self.refused]
        there = [value for value in there if value not in self.nets or self.nets[value]]
        return there if self.lora is not None or axis != "adapter" else ["none"]

    def drawn(self) -> list[dict[str, str]]:
        """Combinations such that every value is in one; the edit-friendly inversion walks with ddpm alone."""
        dice = random.Random(self.family.name)
        columns = {axis: dice.sample(values, len(values)) for axis in AXES if (values := self.values(axis))}
        if "edit-friendly" in columns["start"]:
            columns["sampler"].remove("ddpm")
            columns["sampler"].insert(columns["start"].index("edit-friendly"), "ddpm")
        rows = range(max(map(len, columns.values())))
        drawn = [{axis: column[row % len(column)] for axis, column in columns.items()} for row in rows]
        free = [start for start in columns["start"] if start != "edit-friendly"]
        return [c if c["sampler"] == "ddpm" or c["start"] in free else {**c, "start": dice.choice(free)} for c in drawn]

    def options(self, axis: str, value: str) -> Any:
        family, picture = self.family, self.family.picture
        shows = {"shows": "a boat" if family.can.text else "0" if family.can.classes else ""}
        return {
            ("start", "noise"): sfumato.Noise,
            ("start", "sdedit"): lambda: sfumato.SDEdit(picture, 0.7),
            ("start", "inverted"): lambda: sfumato.Inverted(picture, 0.6, refine=0, **shows),
            ("start", "edit-friendly"): lambda: sfumato.EditFriendly(picture, 0.6, **shows),
            ("start", "between"): lambda: sfumato.Between(picture, photo(family.size, 1), 0.4, 0.6, refine=0),
            ("hold", "nothing"): lambda: None,
            ("hold", "outside"): lambda: sfumato.Outside(family.mask, picture),
            ("hold", "soft"): lambda: sfumato.Outside(family.mask, picture, grow=1, feather=2),
            ("hold", "low-pass"): lambda: sfumato.LowPass(4, 0.2, picture),
            ("hold", "inferred"): lambda: sfumato.Inferred(picture=picture, draws=1, refine=0, **shows),
            ("guidance", "none"): list,
            ("guidance", "classifier-free"): lambda: [ClassifierFree(4.0)],
            ("guidance", "cfg++"): lambda: [CFGPlusPlus(0.6)],
            ("guidance", "perturbed"): lambda: [PerturbedAttention(2.0, (self.attends,))],
            ("guidance", "distilled"): lambda: [Distilled(3.0)],
            ("control", "none"): list,
            ("control", "controlnet"): lambda: [ControlNet(picture, self.net("controlnet"))],
            ("control", "ip-adapter"): lambda: [IPAdapter(picture, self.net("ip-adapter"))],
            ("adapter", "none"): list,
            ("adapter", "lora"): lambda: [sfumato.LoRA(self.lora) * 0.5],
        }.get((axis, value), lambda: value)()

    def net(self, control: str) -> Path:
        """A control's folder; where the family obeys none of its kind, that is said before any is looked for."""
        return self.nets[control] or self.family.folder

    def paint(self, **values: str) -> np.ndarray:
        named = {"control": "controls", "adapter": "adapters"}
        options = {named.get(axis, axis): self.options(axis, value) for axis, value in values.items()}
        return array(self.family.paint(**options, steps=2))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_keeps_the_promises_of_all_that_it_can_be_asked(name: str, tmp_path: Path, monkeypatch):
    if hasattr(FAMILIES[name], "small"):
        FAMILIES[name].small(monkeypatch, 32 * 32)
    family = families.Family(name, FAMILIES[name], tmp_path)
    asked, picture = Asked(family), array(family.picture)
    weights = {key: (weight, weight.clone()) for key, weight in family.network.named_parameters()}
    drawn = asked.drawn()
    assert all({c[axis] for c in drawn} == set(asked.values(axis)) for axis in AXES)
    for c in drawn:
        painted = asked.paint(**c)
        assert painted.shape == picture.shape, c
        if c["hold"] == "outside" and c["composite"] != "none":
            outside = array(family.mask)[..., 0] == 0
            assert np.array_equal(painted[outside], picture[outside]), c
            assert not np.array_equal(painted[~outside], picture[~outside]), c
    for key, weight in family.network.named_parameters():
        assert weight is weights[key][0], key
        assert bool((weight == weights[key][1]).all()), key
    still = array(family.paint(start=sfumato.SDEdit(family.picture, 0.0), composite="none"))
    assert np.abs(still - picture).max() <= 1
    for (axis, value), said in asked.refused.items():
        with pytest.raises(BadInput, match=said) as refusal:
            asked.paint(**{axis: value})
        assert "\n" not in str(refusal.value)
