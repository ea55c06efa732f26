"""The description beside an engine, and the checks before TensorRT is given it: loading an engine runs its code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from export.deploy.build_engine import Engine
from export.deploy.gpu import Gpu
from export.deploy.manifest import sha256
from pipeline.errors import NetworkError

AMPERE = (8, 0)
"""Compute capability of the first GPUs for which hardware-compatible engines are."""


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
    refuse_foreign(plan.name, description, gpu)
    refuse_version(plan.name, description, tensorrt_version)
    return content, description


def refuse_foreign(name: str, description: dict[str, Any], gpu: Gpu) -> None:
    """NetworkError for an engine of another GPU, unless it was built for every one from Ampere on."""
    built_on, here = description["gpu"], asdict(gpu)
    portable = description["options"]["hardware_compatible"] and capability(gpu.compute_capability) >= AMPERE
    if portable or all(built_on[field] == here[field] for field in ("name", "compute_capability")):
        return
    raise NetworkError(
        f"{name} was built on {built_on['name']} ({built_on['compute_capability']}), this is {gpu.name} "
        f"({gpu.compute_capability}): an engine runs where it was built; build it here"
    )


def refuse_version(name: str, description: dict[str, Any], tensorrt_version: str) -> None:
    """NetworkError for an engine of another TensorRT, unless it was built for later ones of its major version."""
    built_with = description["tensorrt"]
    old, new = (tuple(map(int, version.split(".")[:2])) for version in (built_with, tensorrt_version))
    later = description["options"]["version_compatible"] and old[0] == new[0] and old <= new
    if later or built_with == tensorrt_version:
        return
    raise NetworkError(f"{name} was built with TensorRT {built_with}, this is {tensorrt_version}: build it again")


def capability(text: str) -> tuple[int, ...]:
    """`8.7` as numbers that compare."""
    return tuple(map(int, text.split(".")))


def write_engine(plan: Path, engine: Engine, description: Mapping[str, Any]) -> dict[str, Any]:
    """Write an engine, its layers and its description; returns that."""
    plan.write_bytes(engine.plan)
    layers = json.dumps(engine.inspector, indent=1)
    plan.with_suffix(".layers.json").write_text(layers + "\n", encoding="utf-8")
    identity = {"file": plan.name, "sha256": sha256(plan), "bytes": plan.stat().st_size}
    written = {**identity, **description, **engine.tensors, "tensor_types": dict(engine.tensor_types)}
    description_of(plan).write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return written
