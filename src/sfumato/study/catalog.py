"""Imports every module of this package, so that each study registers itself."""

from importlib import import_module
from pkgutil import iter_modules

import sfumato.study

for module in iter_modules(sfumato.study.__path__, "sfumato.study."):
    import_module(module.name)
