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
    "dpmpp-3m": "DPM++ 3M",
    "dpmpp-3m-sde": "DPM++ 3M SDE",
    "dpmpp-3m-exact": "DPM++ 3M exact",
    "unipc": "UniPC",
    "deis": "DEIS",
    "adams-bashforth": "Adams-Bashforth",
    "rk45": "RK45",
    "euler-maruyama": "Euler-Maruyama",
    "predictor-corrector": "Predictor-corrector",
    "langevin": "Langevin",
    "consistency": "LCM",
}
TIMES = {
    "uniform": "",
    "leading": "",
    "trailing": "",
    "karras": "Karras",
    "log-snr": "Exponential",
}
METHODS = ("diffedit", "prompt-to-prompt")  # what to do with the words of what is there already
