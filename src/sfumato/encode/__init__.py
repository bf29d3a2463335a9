"""From recipes and pictures to the parts of a network's condition: one file an encoder."""
