"""The description beside an engine, and the checks before TensorRT is given it: loading an engine runs its code."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from export.deploy.gpu import Gpu
from export.deploy.manifest import sha256
from pipeline.errors import NetworkError


def description_of(plan: Path) -> Path:
    """`student.fp16.labels.plan` -> `student.fp16.labels.plan.json`."""
    return plan.with_name(plan.name + ".json")


def read_engine(plan: Path, gpu: Gpu, tensorrt_version: str) -> tuple[bytes, dict[str, Any]]:
    """The bytes of an engine and its description.

    NetworkError for an engine that was altered, or built on another GPU or with another TensorRT.
    """
    try:
        description: dict[str, Any] = json.loads(description_of(plan).read_text(encoding="utf-8"))
        content = plan.read_bytes()
    except (OSError, ValueError) as error:
        raise NetworkError(f"{plan} or its description cannot be read: {error}; build it here") from error
    if sha256(plan) != description["sha256"]:
        raise NetworkError(f"{plan.name} is not the engine that its description tells of: build it again")
    built_on = description["gpu"]
    here = asdict(gpu)
    if any(built_on[name] != here[name] for name in ("name", "compute_capability")):
        raise NetworkError(
            f"{plan.name} was built on {built_on['name']} ({built_on['compute_capability']}), this is {gpu.name} "
            f"({gpu.compute_capability}): an engine runs where it was built; build it here"
        )
    if description["tensorrt"] != tensorrt_version:
        raise NetworkError(
            f"{plan.name} was built with TensorRT {description['tensorrt']}, this is {tensorrt_version}: build it again"
        )
    return content, description
