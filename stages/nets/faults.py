"""An error of somebody else's code: in one line, and whether memory did not suffice."""

import traceback
from pathlib import Path

import torch

TORCH = Path(torch.__file__).parent
LONGEST = 300
CPU_WORDS = ("not enough memory", "can't allocate memory")
"""What the message of torch's CPU allocator says; it raises a plain RuntimeError."""


def one_line(error: BaseException) -> str:
    """`ValueError: the first line of its message (nets.py:31)`: the place is the last one outside torch itself."""
    said = (str(error).strip().splitlines() or [""])[0][:LONGEST]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if TORCH not in Path(f.filename).parents]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{f': {said}' if said else ''}{place}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator gave up, a GPU's or the CPU's."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in CPU_WORDS)
