"""What an engine's answers are worth: the largest relative error of a call of the network, and what the pictures show.

Run: python benchmarks/tiers.py [--model mini] [--engine openvino] [--precision bfloat16] [--pictures 200]

Prints one JSON object. error: max |a - b| / max |b| over the calls of a guided run, b being PyTorch's float32 answer of
the same network to the same numbers. accuracy: the share of what captions state that the judge reads off the pictures
(seen and held-out compositions); fid: against the true pictures of these captions, by the built-in features. Of float32
PyTorch too, on the same captions and seeds.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

import sfumato
from sfumato.network.engine import Engine, engine_of

PROMPT = "a painting of a woman in a red jacket by the sea"


def error(model: str, engine: str, precision: str, steps: int, guidance: float) -> dict[str, float]:
    """The largest relative error of the network's calls in one run; and the same of plain PyTorch in that precision."""
    from sfumato.guide import ClassifierFree

    calls: list[tuple[dict[str, Any], torch.Tensor]] = []
    kind = type(engine_of(engine))
    plain = kind.prepare

    def prepare(itself: Engine, network: Any, spec: Any) -> Any:
        run = plain(itself, network, spec)

        def call(**inputs: Any) -> Any:
            answer = run(**inputs)
            if "t" in spec.inputs:
                calls.append((inputs, answer))
            return answer

        return call

    kind.prepare = prepare  # type: ignore[method-assign]
    try:
        pipe = sfumato.load(model, engine=engine, precision=precision, device="cpu")
        pipe(PROMPT, guidance=[ClassifierFree(guidance)], sampler="ddim", times="trailing", steps=steps, seed=7)
    finally:
        kind.prepare = plain  # type: ignore[method-assign]
    true, same = (sfumato.load(model, precision=each, device="cpu") for each in ("float32", precision))
    found = {"engine": 0.0, "eager": 0.0}
    with torch.no_grad():
        for inputs, answer in calls:
            own = {name: value for name, value in inputs.items() if name != "text_kv"}
            theirs = _run(true)(**{name: _float(value) for name, value in own.items()})
            for name, mine in (("engine", answer), ("eager", _run(same)(**own))):
                found[name] = max(found[name], float((mine.float() - theirs).abs().max() / theirs.abs().max()))
    return found


def quality(model: str, engine: str, precision: str, pictures: int, steps: int, guidance: float) -> dict[str, float]:
    """What the judge reads, and the distance of the pictures from the true ones."""
    from sfumato.evaluate import evaluation
    from sfumato.evaluate.attributes import drawn
    from sfumato.evaluate.features import features
    from sfumato.evaluate.judge import Judge
    from sfumato.evaluate.metrics.frechet import Moments, frechet
    from sfumato.space.pixels import to_tensor

    pipe = sfumato.load(model, engine=engine, precision=precision, device="cpu")
    asked = {"seed": 1_000_003, "steps": steps, "guidance": guidance, "sampler": "ddim"}
    found = evaluation.evaluate(pipe, Judge.load(), count=max(1, pictures // 2), bar=False, **asked)
    parts = found.splits.values()
    read = features("vignettes-features")
    painted = to_tensor([image for part in parts for image in part.images])
    true = drawn([question for part in parts for question in part.questions], pipe.size)
    rows = [torch.cat([read(chunk)["pool"] for chunk in each.split(64)]).numpy() for each in (painted, true)]
    return {
        "accuracy": sum(part.scores.stated.value for part in parts) / len(found.splits),
        "fid": float(frechet(*map(Moments.of, rows))),
    }


def _run(pipe: Any) -> Any:
    return pipe.stage.denoiser.backbone.run


def _float(value: Any) -> Any:
    low = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.float() if low else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    told = (o.model, o.engine, o.precision)
    report: dict[str, Any] = {"error": error(*told, min(o.steps, 5), o.guidance)}
    if o.pictures:
        report |= quality(*told, o.pictures, o.steps, o.guidance)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
