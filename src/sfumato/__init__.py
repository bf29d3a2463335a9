"""Sfumato: conditional diffusion for image manipulation. An edit is a start, a hold and a condition.

    import sfumato
    pipe = sfumato.load("mini")
    pipe("a painting of a woman in a red jacket", start=sfumato.SDEdit("sketch.png", 0.6), seed=7).save("painting.png")

Importing the package loads nothing heavy: every name below is fetched when it is first used.
"""

import lazy_loader as _lazy

from sfumato._version import __version__ as __version__

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
