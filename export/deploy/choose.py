"""Which runtime a board's program uses: the one asked for, or what is there, said aloud."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from export.deploy.manifest import Bundle, read_bundle
from export.runtimes.protocol import Runtime
from pipeline.errors import NetworkError, PipelineError

ENGINES = "engines"
INTERRUPTED = 130
"""Exit code after Ctrl-C."""
FORMS = {"tensorrt": ("int8-tensorrt", "fp16", "fp32"), "onnxruntime": ("int8-cpu", "fp32", "fp16")}
"""Forms by runtime, the fastest first."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--runtime`, `--form` and `--threads`, by which every program chooses alike."""
    parser.add_argument("--runtime", choices=("auto", "tensorrt", "onnxruntime"), default="auto")
    parser.add_argument("--form", help="fp32, fp16, int8-tensorrt or int8-cpu; the fastest there is where left out")
    parser.add_argument("--threads", type=int, help="CPU threads of onnxruntime")


def engine_path(bundle: Bundle, onnx_file: str) -> Path:
    """Where the engine of an ONNX file is built to."""
    return bundle.folder / ENGINES / Path(onnx_file).with_suffix(".plan").name


def choose(bundle: Bundle, runtime: str, form: str | None, output: str = "labels") -> tuple[str, Path]:
    """(runtime, file to open): what was asked for; with `auto`, an engine where one was built, else the ONNX file.

    NetworkError where what was asked for is not there.
    """
    built = {
        entry["form"]: path
        for entry in bundle.manifest["forms"]
        if entry["output"]["name"] == output and (path := engine_path(bundle, entry["file"])).is_file()
    }
    if runtime == "tensorrt" or (runtime == "auto" and built):
        wanted = form or next((name for name in FORMS["tensorrt"] if name in built), None)
        if wanted not in built:
            raise NetworkError(f"no engine of form {wanted or 'any'}: run python build_engine.py first")
        return "tensorrt", built[wanted]
    there = [entry["form"] for entry in bundle.manifest["forms"] if entry["output"]["name"] == output]
    wanted = form or next(name for name in FORMS["onnxruntime"] if name in there)
    return "onnxruntime", bundle.folder / bundle.form(wanted, output)["file"]


def open_runtime(runtime: str, path: Path, threads: int | None = None) -> Runtime:
    """The file in its runtime; NetworkError where that is not installed or cannot load it."""
    if runtime == "tensorrt":
        from export.runtimes.tensorrt_runtime import TensorRTRuntime

        return TensorRTRuntime(path)
    try:
        from export.runtimes.onnx_runtime import OnnxRuntime
    except ImportError as error:
        raise NetworkError(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error
    return OnnxRuntime(path, threads=threads)


def opened(bundle: Bundle, options: argparse.Namespace) -> Runtime:
    """The runtime that a program's options ask for; says on stderr which it is."""
    runtime, path = choose(bundle, options.runtime, options.form)
    found = open_runtime(runtime, path, options.threads)
    say(f"{path.name} with {found.name}")
    return found


def say(line: str) -> None:
    """Progress goes to stderr: stdout holds the result alone."""
    print(line, file=sys.stderr, flush=True)


def program(run: Callable[[Bundle, argparse.Namespace], int], folder: Path, parser: argparse.ArgumentParser) -> int:
    """Run a board's program on the bundle that it lies in: exit code 2 and one line for a user's error, 130 after
    Ctrl-C."""
    options = parser.parse_args()
    if getattr(options, "threads", None) is not None and options.threads < 1:
        parser.error("--threads must be 1 or more")
    try:
        return run(read_bundle(folder), options)
    except PipelineError as error:
        say(f"error: {error}")
    except OSError as error:
        say(f"error: {error.filename}: {error.strerror}: give another path, or see to its permissions")
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    return 2
