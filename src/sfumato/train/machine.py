"""The machine that a run is given: its devices, number type, threads, cores and memory."""

from __future__ import annotations

import os
import sys

import torch

from sfumato.train.hyperparameters import Common


def bfloat16_pays() -> bool:
    """Whether bfloat16 autocast is quicker here: on accelerators that have it, and on CPUs with AVX512-BF16 or AMX."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def accelerator(recipe: Common):
    """Accelerate's view of the devices: placement, precision, distribution. A process may train in one precision after
    another: Accelerate keeps the first for all that follow, and is told to forget it."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    if not torch.cuda.is_available():
        pin()
    low = recipe.precision == "bfloat16" or (recipe.precision == "auto" and bfloat16_pays())
    on_gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    precision = "bf16" if low else "no"
    if AcceleratorState._shared_state.get("_mixed_precision", precision) != precision:
        AcceleratorState._reset_state()
    return Accelerator(cpu=not on_gpu, mixed_precision=precision)


def pin() -> None:
    """Give each of several processes on one machine cores of its own: moving between them halves the speed."""
    count, rank = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    if count > 1 and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[rank::count] or cores)


def memory_taken(device: torch.device) -> str:
    """The most memory that was taken until now, where the system says it."""
    if device.type == "cuda":
        taken = torch.cuda.max_memory_allocated(device)
    else:
        try:
            import resource
        except ImportError:  # Windows
            return ""
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"; {taken / 2**30:.1f} GiB of memory"
