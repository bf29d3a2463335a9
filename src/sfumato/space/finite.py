"""Numbers that are none: a network whose answer is NaN or infinite has painted nothing."""

from __future__ import annotations

from torch import Tensor

from sfumato.picture import BadInput


def refuse_nan(answer: Tensor, part: str, where: str = "") -> Tensor:
    """The answer. Raises BadInput, which names the part of the model and `where` it was, if it is not finite."""
    if answer.device.type != "meta" and not bool(answer.isfinite().all()):
        raise BadInput(
            f"The {part} answered NaN or infinity{where and ' ' + where}: its weights are damaged, or they overflow in "
            "this precision. Nothing is saved; try precision float32, or copy the weights again."
        )
    return answer
