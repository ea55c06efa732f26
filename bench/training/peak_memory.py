"""Peak memory of a step, in a process of its own, so that nothing else has stretched it."""

import multiprocessing
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

from pipeline.errors import PipelineError
from stages.estimates.memory import BYTES_PER_MIB, KIB_PER_MIB, STATUS, kib_of, resident_mib

STEPS = 4

Peak = Mapping[str, float]
"""`peak_mib`, the most that was held, and `before_mib`, what the process held before it loaded anything."""


def peak_of(load: Callable[[], Callable[[], object]], device: str) -> Peak:
    """Memory of a few calls of what `load` gives: resident on a CPU, handed out by torch's allocator on a GPU.

    `load` goes to the process by pickle. PipelineError where the process ends without an answer.
    """
    # A spawned process starts from nothing; a forked one would begin with all that this one holds.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=call_and_tell, args=(load, device, sender))
    process.start()
    sender.close()
    try:
        told: Peak | str = receiver.recv()
    except EOFError:
        told = "it was killed: too little memory?"
    process.join()
    if isinstance(told, str):
        raise PipelineError(f"peak memory could not be measured: {told}")
    return told


def call_and_tell(load: Callable[[], Callable[[], object]], device: str, sender: Connection) -> None:
    """The process's life: load, a few calls, then what they held at most, or why they failed."""
    try:
        before = resident_mib() if device == "cpu" else 0.0
        call = load()
        for _ in range(STEPS):
            call()
        sender.send({"peak_mib": peak_mib(device), "before_mib": before})
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")


def peak_mib(device: str) -> float:
    """The most that this process has held so far, in MiB."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / BYTES_PER_MIB
    # Not getrusage where that can be had: its maximum outlives an exec and would be the parent's.
    return kib_of("VmHWM", STATUS.read_text()) / KIB_PER_MIB if STATUS.exists() else resident_mib()
