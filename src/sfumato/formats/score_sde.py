"""Score-based models of pixels in the format of diffusers' score-SDE pipelines (Song et al. 2021), variance-exploding.

The folder is that of `ddpm`; the network has Fourier features of log sigma, is told sigma itself, and its answer is the
score; scheduler/ is a ScoreSdeVeScheduler with sigma_min, sigma_max and num_train_timesteps, the number of levels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.ddpm import Pixels
from sfumato.formats.folder import parts_of, scheduler_of
from sfumato.formats.format import FORMATS
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from sfumato.denoise import Preconditioned
    from sfumato.formats.parts import Parts

NEUTRAL = ("snr", "sampling_eps", "correct_steps")
"""What chooses a step rule of stock samplers."""


class ScoreSde(Pixels):
    """A geometric range of sigmas, and a network that answers the score."""

    title = "score-SDE (with a UNet2DModel and a ScoreSdeVeScheduler)"
    time_embedding = "fourier"

    def detect(self, folder: Path) -> bool:
        kind = scheduler_of(folder).get("_class_name") if "unet" in parts_of(folder) else ""
        return parts_of(folder).get("unet") == "UNet2DModel" and kind == "ScoreSdeVeScheduler"

    def denoiser(self, parts: Parts, backbone: Any, learned: bool) -> Preconditioned:
        from sfumato.denoise import Preconditioned
        from sfumato.schedule import VE

        config = parts.scheduler()
        known = ("sigma_min", "sigma_max", "num_train_timesteps", *NEUTRAL)
        if others := [name for name in config if name not in known and not name.startswith("_")]:
            raise BadInput(
                f"The scheduler of {parts.model} has fields unknown here: {printable(', '.join(others), 100)}."
            )
        low, high = config.get("sigma_min", 0.01), config.get("sigma_max", 1348.0)
        if not all(isinstance(sigma, int | float) for sigma in (low, high)) or not 0 < low < high:
            raise BadInput(
                f"The scheduler of {parts.model} has sigmas from {low!r} to {high!r}: they must rise from above 0."
            )
        schedule = VE(float(low), float(high))
        return Preconditioned(backbone, schedule, "score", lambda t: schedule(t)[1], learned_variance=learned)


FORMATS.add("score-sde", ScoreSde())
