"""Metrics, one a file, apart from where features come from; float64 inside. Each registers itself in `METRICS`.

Statistics take sets as arrays of rows (N, D): the generated and the real ones. A function that takes `weights` (B, N)
of the generated rows answers B figures, so that figures and their bootstrap resamples come from one pass.
"""

# In the order of reports: distances, then the score, neighbourhoods, words, pairs, the model itself.
from sfumato.evaluate.metrics.frechet import Moments, frechet  # isort: skip
from sfumato.evaluate.metrics.kernel import cmmd, kid, mmd  # isort: skip
from sfumato.evaluate.metrics.inception_score import inception_score  # isort: skip
from sfumato.evaluate.metrics.manifold import coverage, density, precision, recall  # isort: skip
from sfumato.evaluate.metrics.clip_score import clip_score, cosines  # isort: skip
from sfumato.evaluate.metrics.pixel import Difference, difference, psnr, ssim  # isort: skip
from sfumato.evaluate.metrics.lpips import lpips as load_lpips  # isort: skip
from sfumato.evaluate.metrics.bits_per_dim import bits_per_dim  # isort: skip
from sfumato.evaluate.metrics.seam import seam
from sfumato.evaluate.statistics import resamplings

__all__ = [
    "Difference",
    "Moments",
    "bits_per_dim",
    "clip_score",
    "cmmd",
    "cosines",
    "coverage",
    "density",
    "difference",
    "frechet",
    "inception_score",
    "kid",
    "load_lpips",
    "mmd",
    "precision",
    "psnr",
    "recall",
    "resamplings",
    "seam",
    "ssim",
]
