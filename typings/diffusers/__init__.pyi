# For pyright: what is taken from here is of no known type. Their own lists of some thousand modules would be read for
# a handful of classes, a third of the time that the whole check takes.
from typing import Any

def __getattr__(name: str) -> Any: ...
