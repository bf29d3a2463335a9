"""What a Condition's `Attention` asks of a diffusers network, done by hooks for the length of one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from sfumato.condition import Attention, Condition
from sfumato.picture import BadInput

_CALL: ContextVar[object] = ContextVar("call", default=None)


def self_attention(network: nn.Module) -> dict[str, nn.Module]:
    """The self-attention modules of a diffusers network by name."""
    from diffusers.models.attention_processor import Attention as Module

    return {name: m for name, m in network.named_modules() if isinstance(m, Module) and not m.is_cross_attention}


@contextmanager
def directed(network: nn.Module, condition: Condition) -> Iterator[None]:
    """Inside, the network obeys the condition's `Attention`; rows it leaves alone are untouched, to the bit.

    The hooks act in the thread that set them alone: another call of the same network, at the same time, sees nothing.
    """
    part = condition.get(Attention)
    if part is None or not bool(part.identity.any()):
        yield
        return
    call, rows = object(), part.identity.nonzero()[:, 0]

    def hook(module: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if _CALL.get() is not call:
            return None
        index, changed = rows.to(output.device), output.clone()  # a clone keeps the strides, and so the bits after it
        changed[index] = each_itself(module, args[0][index]).to(output.dtype)
        return changed

    handles = [module.register_forward_hook(hook) for module in chosen(network, part.layers)]
    token = _CALL.set(call)
    try:
        yield
    finally:
        _CALL.reset(token)
        for handle in handles:
            handle.remove()


def chosen(network: nn.Module, layers: tuple[str, ...]) -> list[nn.Module]:
    """The self-attention modules in `layers`. Raises BadInput, naming those there are, if a layer has none."""
    modules = self_attention(network)
    found: dict[str, nn.Module] = {}
    for layer in layers:
        prefix = {"mid": "mid_block", "down": "down_blocks", "up": "up_blocks"}.get(layer, layer)
        here = {name: module for name, module in modules.items() if name.startswith(prefix)}
        if not here:
            blocks = sorted({".".join(name.split(".")[: 1 if name.startswith("mid") else 2]) for name in modules})
            has = f"it has some in {', '.join(blocks)}" if blocks else "it has none at all"
            raise BadInput(f"The network has no self-attention in the layer {layer!r}: {has}.")
        found |= here
    return list(found.values())


def each_itself(module: Any, hidden: Tensor) -> Tensor:
    """The module's answer with the identity for its attention map: values go through, each place sees itself alone.

    hidden is (B, N, C), or (B, C, H, W) in networks of pixels; the answer has its shape.
    """
    x = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden
    if module.group_norm is not None:
        x = module.group_norm(x.transpose(1, 2)).transpose(1, 2)
    x = module.to_out[0](module.to_v(x))
    if hidden.ndim == 4:
        x = x.transpose(1, 2).reshape(hidden.shape)
    if module.residual_connection:
        x = x + hidden
    return x / module.rescale_output_factor
