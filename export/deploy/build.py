"""`python build_engine.py`: engines for the GPU of this machine, each held to the golden picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from export.deploy.build_engine import BuildError, Options, build_engine
from export.deploy.choose import ENGINES, engine_path, program, say
from export.deploy.engine_file import description_of, write_engine
from export.deploy.golden import check_golden
from export.deploy.gpu import GpuError, describe_gpu
from export.deploy.manifest import Bundle, sha256
from export.runtimes.tensorrt_runtime import TensorRTRuntime, library
from pipeline.errors import NetworkError, PipelineError

BUILT = ("fp32", "fp16", "int8-tensorrt")
TIMING_CACHE = "timing.cache"


def main(folder: Path) -> int:
    """The program, on the bundle in `folder`."""
    parser = argparse.ArgumentParser(description="Build TensorRT engines here, for this GPU.")
    parser.add_argument("--form", action="append", choices=BUILT, help="which to build; all where left out")
    parser.add_argument("--output", choices=("labels", "logits"), default="labels")
    parser.add_argument("--workspace-mib", type=int, default=1024, help="largest scratch memory of a layer")
    parser.add_argument("--version-compatible", action="store_true", help="for later TensorRT of this major version")
    parser.add_argument("--hardware-compatible", action="store_true", help="for every GPU from Ampere on")
    parser.add_argument("--dla-core", type=int, help="run on this accelerator, on the GPU what it cannot")
    parser.add_argument("--batch", type=int, nargs=3, default=(1, 1, 4), metavar=("MIN", "OPT", "MAX"))
    return program(run, folder, parser)


def run(bundle: Bundle, options: argparse.Namespace) -> int:
    """Build each form, check it, print a row for each as one JSON document; code 1 where one failed."""
    trt = library("tensorrt", "install TensorRT 10.3 or later, before 12; on a Jetson it is part of JetPack")
    try:
        gpu = describe_gpu()
    except GpuError as error:
        raise NetworkError(f"no engine can be built here: {error}") from error
    say(f"TensorRT {trt.__version__} on {gpu.name}, compute capability {gpu.compute_capability}")
    there = {e["form"]: e for e in bundle.manifest["forms"] if e["output"]["name"] == options.output}
    wanted = options.form or [form for form in BUILT if form in there]
    (bundle.folder / ENGINES).mkdir(exist_ok=True)
    rows = [attempt(bundle, trt, gpu, bundle.form(form, options.output), options) for form in wanted]
    print(json.dumps({"gpu": asdict(gpu), "tensorrt": trt.__version__, "engines": rows}))
    return int(any(row["status"] != "ok" for row in rows))


def attempt(bundle: Bundle, trt: Any, gpu: Any, form: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Build and check one form; a failure is a row, and its engine is removed."""
    plan = engine_path(bundle, form["file"])
    try:
        build(bundle, trt, gpu, form, plan, options)
        with TensorRTRuntime(plan) as runtime:
            share = check_golden(*bundle.golden(), runtime, plan.name, form["golden_min_agreement"])
    except (BuildError, PipelineError) as error:
        for path in (plan, description_of(plan)):
            path.unlink(missing_ok=True)
        say(f"{form['file']}: failed: {error}")
        return {"file": form["file"], "status": "failed", "why": str(error)}
    say(f"{plan.name}: golden labels agree on {share:.4f} of the pixels")
    return {"file": plan.name, "status": "ok", "sha256": sha256(plan), "golden_agreement": share}


def build(bundle: Bundle, trt: Any, gpu: Any, form: Mapping[str, Any], plan: Path, options: argparse.Namespace) -> None:
    """Write the engine, its description, its layers and the timing cache."""
    timing = plan.with_name(TIMING_CACHE)
    say(f"building {plan.name}; this takes minutes")
    how = Options(
        form["form"],
        options.workspace_mib,
        tuple(options.batch),
        options.version_compatible,
        options.hardware_compatible,
        options.dla_core,
    )
    onnx = bundle.folder / form["file"]
    engine = build_engine(trt, onnx.read_bytes(), how, timing.read_bytes() if timing.is_file() else b"", say)
    timing.write_bytes(engine.timing_cache)
    source = {"file": onnx.name, "sha256": form["sha256"]}
    description = {"onnx": source, "tensorrt": trt.__version__, "gpu": asdict(gpu), "options": asdict(how)}
    write_engine(plan, engine, description)
