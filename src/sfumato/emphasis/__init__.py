"""What weights of words do: `(a red hat:1.3)` counts for more, and each tool has its own arithmetic for that.

    pipe("a (red hat:1.3)", emphasis="from-empty")

One file a method:

| method | z, an embedding of a word that weighs w, becomes | whose |
|---|---|---|
| `MeanRestored` | w z, then the whole text scaled to the mean that it had | A1111's "Original", the default here |
| `Unscaled` | w z | A1111's "No norm" |
| `Ignored` | z | A1111's "Ignore" |
| `FromEmpty` | z_0 + w (z - z_0), z_0 of the same place in an empty text | ComfyUI's |
"""

from sfumato.emphasis.emphasis import Emphasis
from sfumato.emphasis.from_empty import FromEmpty
from sfumato.emphasis.ignored import Ignored
from sfumato.emphasis.mean_restored import MeanRestored
from sfumato.emphasis.unscaled import Unscaled

__all__ = ["Emphasis", "FromEmpty", "Ignored", "MeanRestored", "Unscaled"]
