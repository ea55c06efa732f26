"""How much memory a process holds while something runs in it."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

BYTES_PER_MIB = 2**20
KIB_PER_MIB = 1024
EVERY_S = 0.005
STATUS = Path("/proc/self/status")


class Held:
    """Memory in MiB over a block: at its begin, and at most."""

    def __init__(self, before_mib: float) -> None:
        self.before_mib = self.peak_mib = before_mib

    def scaled(self, factor: float, fixed_mib: float = 0.0) -> float:
        """The peak if what the block took, but for `fixed_mib` of it, were `factor` times as large."""
        taken = max(self.peak_mib - self.before_mib - fixed_mib, 0.0)
        return max(self.peak_mib, self.before_mib + fixed_mib + taken * factor)


@contextmanager
def watched(device: str) -> Iterator[Held]:
    """Memory of the block: resident in this process on a CPU, handed out by torch's allocator on a GPU."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        held = Held(torch.cuda.memory_allocated() / BYTES_PER_MIB)
        yield held
        held.peak_mib = torch.cuda.max_memory_allocated() / BYTES_PER_MIB
        return
    held, ended = Held(resident_mib()), Event()

    def look() -> None:
        held.peak_mib = max(held.peak_mib, resident_mib())

    def look_on() -> None:
        while not ended.is_set():
            look()
            time.sleep(EVERY_S)

    thread = Thread(target=look_on, daemon=True)
    thread.start()
    try:
        yield held
        # A block that never let the other thread run is seen at least at its end.
        look()
    finally:
        ended.set()
        thread.join()


def resident_mib() -> float:
    """What this process holds now, in MiB; where the system does not tell, the most that it has held."""
    if STATUS.exists():
        return kib_of("VmRSS", STATUS.read_text()) / KIB_PER_MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (BYTES_PER_MIB if sys.platform == "darwin" else KIB_PER_MIB)


def kib_of(name: str, status: str) -> int:
    """`VmHWM:   1234 kB` in the text of /proc/self/status."""
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))
