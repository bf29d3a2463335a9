"""What the tests' programs find made in the server that they are forks of (`warm`): tables that each of them would take
half a second to make."""

import gc

from PIL import Image
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from sfumato.cli import app

Image.preinit()
get_checkpoint_conversion_mapping("clip")
app._commands()
gc.freeze()  # a fork's collector leaves alone, and so need not copy, what is here
