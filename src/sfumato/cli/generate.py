"""sfumato generate"""

from __future__ import annotations

import typer

from sfumato.cli import options


def generate(
    context: typer.Context,
    prompt: options.PromptOrLabel = None,
    label: options.Label = None,
    negative: options.Negative = "",
    guidance: options.Guided = None,
    guide: options.Guide = None,
    seed: options.Seed = None,
    count: options.Count = 1,
    size: options.Size = None,
    model: options.Model = "mini",
    sampler: options.Sampled = "dpmpp-2m",
    times: options.Times = "uniform",
    steps: options.Steps = 20,
    engine: options.Engine = "eager",
    precision: options.Precision = "float32",
    output: options.Output = None,
    json: options.Json = False,
) -> None:
    """Make pictures from words, or of a class."""
    from sfumato.cli.common import make, recipe_of, recipes_of

    make(recipes_of(recipe_of(context.params), count), output, json)
