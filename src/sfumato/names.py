"""The samplers and time grids by name, in the one place that everything else reads. Nothing is imported here.

Each name stands with the label under which A1111's web page and its readers know it; an empty label is not written.
"""

from __future__ import annotations

SAMPLERS = {
    "ddpm": "DDPM",
    "ddim": "DDIM",
    "euler": "Euler",
    "heun": "Heun",
    "dpmpp-2m": "DPM++ 2M",
    "dpmpp-2m-sde": "DPM++ 2M SDE",
}
TIMES = {
    "uniform": "",
    "leading": "",
    "trailing": "",
    "karras": "Karras",
    "log-snr": "Exponential",
}
