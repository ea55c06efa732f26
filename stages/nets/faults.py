"""An error of somebody else's code in one line."""

import traceback
from pathlib import Path

import torch

TORCH = Path(torch.__file__).parent
LONGEST = 300


def one_line(error: BaseException) -> str:
    """`ValueError: the first line of its message (nets.py:31)`: the place is the last one outside torch itself."""
    said = (str(error).strip().splitlines() or [""])[0][:LONGEST]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if TORCH not in Path(f.filename).parents]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{f': {said}' if said else ''}{place}"
