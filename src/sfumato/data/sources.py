"""The built-in sources of training pictures, one a file; importing this registers them."""

from sfumato.data import folder, instructed, kohya, npz, webdataset, world

__all__ = ["folder", "instructed", "kohya", "npz", "webdataset", "world"]
