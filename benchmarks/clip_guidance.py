"""What CLIP guidance does to a model of words: CLIP score, and the judge's accuracy, who shares nothing with CLIP.

Run: python benchmarks/clip_guidance.py [MODEL] [COUNT] [STEPS]
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import torch
from torch.nn.functional import cosine_similarity

import sfumato
from sfumato import ClassifierFree, ClipGuidance, Recipe
from sfumato.encode.clip import load_clip
from sfumato.evaluate.attributes import score_attributes
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.questions import questions
from sfumato.space.pixels import to_tensor
from sfumato.zoo.find import find

WITHIN = (0.0, 0.9)
STACKS = {
    "conditional": (),
    "classifier-free 4": (ClassifierFree(4.0),),
    **{f"noised CLIP {s:g}": (ClipGuidance(s, interval=WITHIN),) for s in (1, 3, 10)},
    "x0, stopped, 3": (ClipGuidance(3.0, "x0", interval=WITHIN),),
    "x0, through the network, 3": (ClipGuidance(3.0, "network", interval=WITHIN),),
    "classifier-free 4, noised CLIP 3": (ClassifierFree(4.0), ClipGuidance(3.0, interval=WITHIN)),
}


def main(model: str = "mini", count: str = "24", steps: str = "15") -> None:
    pipe, clip, judge = sfumato.load(model), load_clip(find(model) / "clip"), Judge.load()
    asked = questions(int(count), 1_000_003, "seen")
    text = clip.text([q.caption for q in asked])
    print(f"{model}: {count} captions, {steps} steps of dpmpp-2m\n")
    print("| guidance | CLIP score | judge | seconds |\n|---|---|---|---|")
    for name, guidance in STACKS.items():
        began = time.perf_counter()
        recipe = Recipe(model=model, guidance=guidance, steps=int(steps))
        images = pipe.run([replace(recipe, prompt=q.caption, seed=i) for i, q in enumerate(asked)]).images
        seconds = time.perf_counter() - began
        pictures = to_tensor(images)
        with torch.no_grad():
            clip_score = 100 * float(cosine_similarity(clip.image(pictures), text).mean())
        accuracy = score_attributes(asked, judge.predict(pictures)).stated.value
        print(f"| {name} | {clip_score:.1f} | {accuracy:.1%} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
