"""Sana-Sprint (Chen et al. 2025): a student of Sana by continuous-time consistency, told the scale of its guidance.

It was trained along a trigonometric flow, x = cos(a) x0 + sin(a) z, which is the straight line of flow matching but for
a factor: x/(cos a + sin a) = (1 - u) x0 + u z with u = sin a/(cos a + sin a). Its network is shown that, is told u, and
answers z - x0, so that its step, x0 = cos(a) x - sin(a) F, is x0 = x_u - u F there; sigma_data cancels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.format import FORMATS, Format
from sfumato.formats.sana import CONTROLS, sana_stage
from sfumato.guide import Distilled
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import Consistency
from sfumato.times import AngleGrid

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

SCHEDULER = ("num_train_timesteps", "prediction_type", "sigma_data")
SUITS = Suits(2, (Distilled(4.5),), Consistency(), AngleGrid(1.3))


class SanaSprint(Format):
    """Words to pictures in one to four steps."""

    title = "Sana-Sprint"
    pipelines = ("SanaSprintPipeline", "SanaSprintImg2ImgPipeline")

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, joint=True, distilled=True, controls=CONTROLS, suits=SUITS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.schedule import Flow

        check_scheduler(parts.scheduler(), parts.model)
        return sana_stage(parts, engine, Flow(), {"guidance_embeds": True}, SUITS)


def check_scheduler(config: Mapping[str, Any], where: str) -> None:
    """Raises BadInput for any other scheduler than that of a trigonometric flow."""
    kind, predicts = config.get("_class_name"), config.get("prediction_type", "trigflow")
    if kind != "SCMScheduler" or predicts != "trigflow":
        raise BadInput(
            f"The scheduler of {where} is a {printable(kind, 60)} that predicts {printable(predicts, 60)}; accepted is "
            "an SCMScheduler that predicts trigflow."
        )
    for field in config:
        if not field.startswith("_") and field not in SCHEDULER:
            raise BadInput(f"The scheduler of {where} has the field {printable(repr(field), 60)}, unknown here.")


FORMATS.add("sana-sprint", SanaSprint())
