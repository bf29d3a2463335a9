"""From a name and a recipe to pictures: spaces, stages, pipes, and how a recipe's elements become live parts."""

from sfumato.model.load import load
from sfumato.model.pipe import Pipe, Progress
from sfumato.model.pool import POOL, Pool
from sfumato.model.result import Result
from sfumato.space import Latent, Pixel, Space
from sfumato.stage import Stage

__all__ = ["POOL", "Latent", "Pipe", "Pixel", "Pool", "Progress", "Result", "Space", "Stage", "load"]
