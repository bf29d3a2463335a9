"""Statistics of features, apart from where the features come from; float64 inside.

Sets are arrays of rows (N, D): what a model made, and what is true. A function that takes `weights` (B, N) of the made
rows answers B figures, so that figures and their bootstrap resamples come from one pass.
"""

from sfumato.evaluate.metrics.clip_score import clip_score, cosines
from sfumato.evaluate.metrics.frechet import Moments, frechet
from sfumato.evaluate.metrics.inception_score import inception_score
from sfumato.evaluate.metrics.kernel import cmmd, kid, mmd
from sfumato.evaluate.metrics.manifold import coverage, density, precision, recall
from sfumato.evaluate.metrics.pixel import Difference, difference, psnr, ssim
from sfumato.evaluate.metrics.resample import resamplings
from sfumato.evaluate.metrics.seam import seam

__all__ = [
    "Difference",
    "Moments",
    "clip_score",
    "cmmd",
    "cosines",
    "coverage",
    "density",
    "difference",
    "frechet",
    "inception_score",
    "kid",
    "mmd",
    "precision",
    "psnr",
    "recall",
    "resamplings",
    "seam",
    "ssim",
]
