"""The built-in class-conditional model: its classes are recognized by a judge that shares nothing with it."""

from __future__ import annotations

import numpy as np
import torch

import sfumato
from sfumato.condition import Condition, Label
from sfumato.denoise import bind
from sfumato.edit.noise_start import NoiseStart
from sfumato.guide import ClassifierFree, Guided
from sfumato.guide.classifier_guidance import ClassifierGradient
from sfumato.network.classifier import Classifier
from sfumato.noise import KeyedNoise
from sfumato.sample import DPMpp2M, trajectory
from sfumato.times import TrailingGrid
from sfumato.zoo import place

FASHION = place("fashion")
MIB = 1 << 20


def share_right(guidances: list, told: torch.Tensor, true: torch.Tensor) -> float:
    """Of a picture a row: the share that the judge takes for the class `true`, when the network is told `told`."""
    denoiser = Guided(sfumato.load("fashion").stage.denoiser, guidances)
    noise = KeyedNoise(range(len(told)))
    denoise = bind(denoiser, Condition((Label(told, 10),)))
    x, times = NoiseStart(torch.zeros(len(told), 1, 28, 28))(denoise, TrailingGrid()(12, denoiser.schedule), noise)
    for step in trajectory(denoise, DPMpp2M(), x, times, noise):
        x = step.x
    said = Classifier.load(FASHION / "features").logits(x.clamp(-1, 1)).argmax(1)
    return float((said == true).float().mean())


def test_classes_are_drawn_so_that_a_judge_recognizes_them():
    ids = torch.arange(10).repeat(3)
    assert share_right([ClassifierFree(2.0)], ids, ids) >= 0.7


def test_a_classifier_turns_the_unconditional_network_towards_a_class():
    """Dhariwal and Nichol 2021, algorithm 2, with the noisy classifier that comes with the model."""
    ids, none = torch.arange(10).repeat(2), torch.full((20,), 10)
    classifier = Classifier.load(FASHION / "classifier")
    guided = np.mean(
        [
            share_right([ClassifierGradient(classifier, 5.0, label=k)], none[:4], torch.full((4,), k))
            for k in (1, 5, 8)  # trousers, sandals and bags, which look like nothing else
        ]
    )
    assert share_right([], none, ids) <= 0.35
    assert guided >= 0.7


def test_files_are_small_and_no_class_is_nameless():
    assert all(path.stat().st_size < 16 * MIB for path in FASHION.rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in FASHION.rglob("*")) < 16 * MIB
    names = Classifier.load(FASHION / "features").names
    assert names == Classifier.load(FASHION / "classifier").names
    assert names == sfumato.load("fashion").stage.capabilities.classes
