r"""Prompts: what their marks mean, read once. The grammar is that of A1111's web page, in which prompts are shared.

| written | means | file |
|---|---|---|
| `a cat :1.2 AND a dog` | several prompts for one picture | `conjunction` |
| `[from:to:0.5]`, `[one\|other]` | words that change over the steps | `schedule` |
| `(word:1.3)`, `[word]`, `BREAK` | words that count for more or less; parts that are read apart | `emphasis` |
| `<lora:x:0.8>`, `embedding:x` | what belongs to other tools, and is refused by name | `foreign` |

`plan_of(prompt, steps)` reads them in that order and gives a `PromptPlan`, which is all that others need to know.
"""

from sfumato.recipe.prompt.emphasis import DEEPEST, LARGEST, Parts, Weighted, literal, parse, plain
from sfumato.recipe.prompt.plan import NOTHING, Conjunct, Period, PromptPlan, check_single, plan_of

__all__ = [
    "DEEPEST",
    "LARGEST",
    "NOTHING",
    "Conjunct",
    "Parts",
    "Period",
    "PromptPlan",
    "Weighted",
    "check_single",
    "literal",
    "parse",
    "plain",
    "plan_of",
]
