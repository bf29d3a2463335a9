"""sfumato generate"""

from __future__ import annotations

from sfumato.cli import options


def generate(
    prompt: options.Prompt,
    negative: options.Negative = "",
    guidance: options.Guidance = 5.0,
    seed: options.Seed = None,
    count: options.Count = 1,
    size: options.Size = None,
    model: options.Model = "mini",
    sampler: options.Sampler = "dpmpp-2m",
    times: options.Times = "uniform",
    steps: options.Steps = 20,
    engine: options.Engine = "eager",
    precision: options.Precision = "float32",
    output: options.Output = None,
    json: options.Json = False,
) -> None:
    """Make pictures from words."""
    from sfumato.cli.common import make, random_seed, recipes_of, size_of
    from sfumato.recipe import ClassifierFree, Recipe

    width, height = size_of(size)
    recipe = Recipe(
        prompt=prompt,
        negative=negative,
        model=model,
        width=width,
        height=height,
        guidance=(ClassifierFree(guidance),),
        sampler=sampler,
        times=times,
        steps=steps,
        seed=random_seed() if seed is None else seed,
        engine=engine,
        precision=precision,
    )
    make(recipes_of(recipe, count), output, json)
