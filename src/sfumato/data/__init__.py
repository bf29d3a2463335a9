"""Data to train and measure on: `vignettes` draws the built-in world."""
