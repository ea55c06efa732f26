"""What `doctor` says of torch on this machine."""

from collections.abc import Iterator
from typing import Any

from pipeline.doctor.ask import ask
from pipeline.doctor.finding import Finding, Level
from pipeline.plan import Planner


def examine(planner: Planner) -> Iterator[Finding]:
    """torch, whether it opens the GPU, and whether bf16 is quick here."""
    answer = ask("stages.doctor", "describe_torch")
    if answer.fault:
        yield Finding("torch loads", Level.BROKEN, answer.fault, "install torch anew for this machine")
        return
    found: dict[str, Any] = answer.value
    yield Finding("torch loads", Level.OK, f"built for {'CUDA ' + found['cuda'] if found['cuda'] else 'the CPU'}")
    yield gpu(bool(planner.facts["gpu"]), found)
    yield bf16(found)


def gpu(has_driver: bool, found: dict[str, Any]) -> Finding:
    """Whether torch opens what the driver shows."""
    if found["gpus"]:
        return Finding("torch on the GPU", Level.OK, "; ".join(found["gpus"]))
    if not has_driver:
        return Finding("torch on the GPU", Level.MISSING, "no GPU", "runs on the CPU")
    why = "this build is for the CPU" if not found["cuda"] else f"the driver may be older than CUDA {found['cuda']}"
    advice = "install the torch build that fits the driver, or run with --device cpu"
    return Finding("torch on the GPU", Level.WARNING, f"the driver is here, torch sees no GPU: {why}", advice)


def bf16(found: dict[str, Any]) -> Finding:
    """What precision `auto` stands for."""
    device = "cuda" if found["gpus"] else "cpu"
    if found["bf16"][device]:
        return Finding("bf16", Level.OK, f"native on {device}: precision auto trains in bf16")
    return Finding("bf16", Level.MISSING, f"not native on {device}", "precision auto trains in fp32")


def describe_torch() -> dict[str, Any]:
    """torch's build, the GPUs that it opens, and where bf16 is native."""
    import torch

    from stages.training.device import has_native_bf16

    opened = torch.cuda.is_available()
    properties = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())] if opened else []
    return {
        "cuda": torch.version.cuda,
        "gpus": [f"{p.name}, capability {p.major}.{p.minor}, {p.total_memory / 2**30:.0f} GiB" for p in properties],
        "bf16": {"cpu": has_native_bf16("cpu"), "cuda": opened and has_native_bf16("cuda")},
    }
