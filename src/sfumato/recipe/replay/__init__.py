"""Recipes from pictures that other tools made: what they wrote beside the pixels, in our names.

What a tool says is read into `Said`, one file a tool, and `recipe_of` makes a recipe of it. What can't be done here is
refused by name, and what is done otherwise is a remark: nothing is passed over in silence.
"""

from sfumato.recipe.replay.a1111 import read_a1111
from sfumato.recipe.replay.comfyui import read_comfyui
from sfumato.recipe.replay.invokeai import read_invokeai
from sfumato.recipe.replay.said import Said, recipe_of

__all__ = ["Said", "read_a1111", "read_comfyui", "read_invokeai", "recipe_of"]
