"""Pictures: one door in, one door out, and the place where input pictures are kept.

`open_picture` and `open_mask` are the only ways in which pixels enter, `save_picture` the only one in which they
leave. Everything a user can do wrong raises `BadInput` with one sentence; what was done to a picture on its way in
(transparency laid on white, the first frame of an animation) is said by a `PictureWarning`.
"""

from sfumato.picture.area import around, extended
from sfumato.picture.atomic import write_atomically
from sfumato.picture.door import ACCEPTED, MAX_PIXELS, open_mask, open_picture
from sfumato.picture.errors import BadInput, PictureWarning
from sfumato.picture.files import check_metadata, check_size, roomy, save_picture
from sfumato.picture.metadata import read_metadata
from sfumato.picture.paths import WRITABLE, check_folder, check_outputs, check_writable, numbered_paths, path_of
from sfumato.picture.prune import Stored, prune, stored
from sfumato.picture.store import Ref, fetch, home, keep, keep_for_now, keep_from, kept_files, original, pixels_hash

__all__ = [
    "ACCEPTED",
    "MAX_PIXELS",
    "WRITABLE",
    "BadInput",
    "PictureWarning",
    "Ref",
    "Stored",
    "around",
    "check_folder",
    "check_metadata",
    "check_outputs",
    "check_size",
    "check_writable",
    "extended",
    "fetch",
    "home",
    "keep",
    "keep_for_now",
    "keep_from",
    "kept_files",
    "numbered_paths",
    "open_mask",
    "open_picture",
    "original",
    "path_of",
    "pixels_hash",
    "prune",
    "read_metadata",
    "roomy",
    "save_picture",
    "stored",
    "write_atomically",
]
