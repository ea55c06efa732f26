"""Every call of the engine build exists, with these arguments, in TensorRT 10.3, 10.16 and 11.4.

This proves the calls, not that an engine builds: that takes a GPU.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEELS = {
    "10.3.0": ("tensorrt-cu12-bindings==10.3.0", 10),
    "10.16.1.11": ("tensorrt-cu13-bindings==10.16.1.11", 10),
    "11.4.0.106": ("tensorrt-cu13-bindings==11.4.0.106", 11),
}
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getBuilderPluginRegistry",
    "getPluginRegistry",
    "getNvOnnxParserVersion",
    "initLibNvInferPlugins",
    "getInferLibVersion",
    "getLogger",
)


def download(requirement: str, folder: Path) -> None:
    """Unpack the wheel of a requirement into `folder`; skips where there is none to be had."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--retries", "0", "--timeout", "10", "--disable-pip-version-check"]
    answer = subprocess.run([*command, "-d", str(folder), requirement], capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if answer.returncode or len(wheels) != 1:
        reason = (answer.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        pytest.skip(f"cannot download {requirement}: {reason}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)


def compile_stubs(major: int, folder: Path) -> None:
    """Libraries that satisfy the loader and make nothing."""
    source = folder / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in SYMBOLS))
    for library in LIBRARIES:
        target = folder / f"lib{library}.so.{major}"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(target), str(source)], check=True)


@pytest.fixture(scope="module", params=list(WHEELS))
def told(
    request: pytest.FixtureRequest,
    stub_driver: Callable[[Path, int], None],
    onnx_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What `tensorrt_shadow.py` prints under one version of the bindings."""
    requirement, major = WHEELS[request.param]
    cache = request.config.cache
    assert cache is not None
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    folder = cache.mkdir("tensorrt_bindings") / f"{request.param}-{python}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        download(requirement, folder)
        compile_stubs(major, folder)
        stub_driver(folder, 0)
        (folder / "complete").touch()
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    script = Path(__file__).with_name("tensorrt_shadow.py")
    work = tmp_path_factory.mktemp("tensorrt")
    answer = subprocess.run(
        [sys.executable, str(script), str(onnx_folder), str(work)], env=environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    report: dict[str, Any] = json.loads(answer.stdout)
    assert report["version"] == request.param
    return report


def test_a_build_makes_an_engine_and_describes_it(told: dict[str, Any]) -> None:
    good = told["good"]

    assert good["plan"] == "plan"
    assert good["types"] == {"fp32": 2}
    assert good["tensors"]["input"] == {"name": "images", "dtype": "uint8", "shape": [-1, 512, 1024, 3]}
    assert good["tensors"]["output"] == {"name": "labels", "dtype": "uint8", "shape": [-1, 512, 1024]}
    assert good["log"] == []


def test_the_network_is_strongly_typed_without_tf32_and_within_the_workspace(told: dict[str, Any]) -> None:
    calls = told["good"]["calls"]

    # STRONGLY_TYPED is the second flag of TensorRT 10 and the first of 11.
    strongly_typed = 1 if told["version"].startswith("11.") else 2
    assert f"Builder.create_network({strongly_typed})" in calls
    assert "IBuilderConfig.clear_flag(BuilderFlag.TF32)" in calls
    assert f"IBuilderConfig.set_memory_pool_limit(MemoryPoolType.WORKSPACE, {512 << 20})" in calls
    assert not any("set_flag" in call or "hardware" in call or "DLA" in call for call in calls)


def test_a_profile_is_set_for_a_dynamic_batch_alone(told: dict[str, Any]) -> None:
    profile = "IOptimizationProfile.set_shape(images, (1, 512, 1024, 3), (1, 512, 1024, 3), (4, 512, 1024, 3))"

    assert profile in told["good"]["calls"]
    assert not any("profile" in call and "profiling" not in call for call in told["fixed batch"]["calls"])


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("parser fails", "TensorRT cannot read the graph: node argmax (ArgMax): no such operator"),
        ("builder fails", "TensorRT built no engine: it gives no reason"),
        ("profile refused", "TensorRT refuses the batch range (1, 1, 4) for input images"),
        ("unreadable", "TensorRT cannot load the engine that it built: it gives no reason"),
        ("half", "asked for fp32, but the engine's tensors are {'fp16': 2}"),
    ],
)
def test_every_refusal_says_why(told: dict[str, Any], case: str, message: str) -> None:
    assert told[case]["error"] == message


def test_a_timing_cache_of_another_machine_is_replaced(told: dict[str, Any]) -> None:
    case = told["foreign cache"]

    assert case["plan"] == "plan"
    assert case["log"] == ["the timing cache is of another GPU or TensorRT; starting an empty one"]
    assert case["calls"].count("IBuilderConfig.create_timing_cache(bytes)") == 2


def test_the_real_classes_refuse_without_a_gpu(told: dict[str, Any]) -> None:
    assert told["without gpu"].startswith("TensorRT cannot start here: ")


def test_wrong_uses_are_noticed(told: dict[str, Any]) -> None:
    flags_gone = told["version"].startswith("11.")

    assert told["wrong uses"] == {
        "unknown method": "AttributeError",
        "unknown keyword": "TypeError",
        "wrong type": "TypeError",
        "too few": "TypeError",
        "read-only": "AttributeError",
        "fp16 flag": "AttributeError" if flags_gone else "accepted",
    }


def test_the_stage_publishes_a_plan_and_what_it_is_tied_to(told: dict[str, Any]) -> None:
    stage = told["stage"]
    sidecar = stage["sidecar"]

    assert stage["files"] == [
        "student.fp32.labels.layers.json",
        "student.fp32.labels.plan",
        "student.fp32.labels.plan.json",
        "timing.cache",
    ]
    assert stage["plan"] == stage["kept timings"] == "plan"
    assert sidecar["sha256"] == hashlib.sha256(b"plan").hexdigest()
    assert sidecar["onnx"]["file"] == "student.fp32.labels.onnx"
    assert sidecar["gpu"] == {"name": "Orin (nvgpu)", "compute_capability": "8.7", "cuda_version": "12.6"}
    assert sidecar["tensorrt"] == told["version"]
    assert sidecar["input"]["shape"] == [1, 48, 96, 3]
    assert len(sidecar["student_sha256"]) == 64
    assert stage["layers"]["Layers"][0]["Name"] == "conv"
    assert stage["volatile"] == ["timing.cache"]
    assert stage["summary"]["gpu"] == "Orin (nvgpu)"
    assert any("golden labels agree on 1.0000" in line for line in stage["log"])
    assert stage["cuda"] == ["init", "push", "synchronize", "pop", "detach"] and stage["all freed"]


def test_a_golden_picture_that_turns_out_otherwise_leaves_no_engine(told: dict[str, Any]) -> None:
    assert "agrees with the golden labels on 0.0" in told["spoiled"]["error"]
    assert told["spoiled"]["files"] == ["timing.cache"]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("as built", "accepted"),
        ("another gpu, portable", "accepted"),
        ("altered", "is not the engine that its description tells of"),
        ("another gpu", "was built on Xavier (7.2), this is Orin (nvgpu) (8.7)"),
        ("another version", "was built with TensorRT 10.0.1, this is "),
        ("unreadable", "TensorRT cannot load student.fp32.labels.plan"),
        ("does not run", "TensorRT could not run student.fp32.labels.plan"),
        ("wrong shape", "was not built for 1 images a call"),
    ],
)
def test_an_engine_runs_where_it_was_built_and_unaltered(told: dict[str, Any], case: str, message: str) -> None:
    assert message in told["refusals"][case]


@pytest.mark.parametrize(("case", "name"), [("fp16", "fp16"), ("int8", "int8")])
def test_the_precision_of_every_form_is_proved(told: dict[str, Any], case: str, name: str) -> None:
    assert told[case]["types"] == {name: 2}


def test_a_form_that_became_another_is_refused(told: dict[str, Any]) -> None:
    assert told["int8 that is fp32"]["error"] == "asked for int8-tensorrt, but the engine's tensors are {'fp32': 2}"


def test_portable_engines_set_their_two_switches(told: dict[str, Any]) -> None:
    calls = told["portable"]["calls"]
    assert "IBuilderConfig.set_flag(BuilderFlag.VERSION_COMPATIBLE)" in calls
    level = "IBuilderConfig.hardware_compatibility_level = HardwareCompatibilityLevel.AMPERE_PLUS"
    assert level in calls


def test_an_accelerator_is_used_with_the_gpu_to_fall_back_on(told: dict[str, Any]) -> None:
    calls = told["dla"]["calls"]
    assert {"IBuilderConfig.default_device_type = DeviceType.DLA", "IBuilderConfig.DLA_core = 1"} <= set(calls)
    assert "IBuilderConfig.set_flag(BuilderFlag.GPU_FALLBACK)" in calls
    assert told["no dla"]["error"] == "no DLA core 2: TensorRT finds 2 here"


def test_layers_are_profiled_and_the_engine_alone_is_timed(told: dict[str, Any]) -> None:
    found = told["profile"]
    assert found["totals"] == {"conv": 1.5} and found["layers"] == []
    enqueue_ms = found["times"].pop("enqueue_ms")
    assert found["times"] == {"compute_ms": 1.5, "to_device_ms": 1.5, "to_host_ms": 1.5} and found["equal"]
    assert 0 < enqueue_ms < 1000
    assert any(call.startswith("IExecutionContext.profiler = ") for call in found["calls"])
    assert "IExecutionContext.execute_async_v3(7)" in found["calls"]


def test_a_build_says_how_far_it_is(told: dict[str, Any]) -> None:
    assert told["progress"][0] == "TensorRT: Building"
    assert told["progress"][-1] == "TensorRT: Building 20 of 20" and len(told["progress"]) == 11
