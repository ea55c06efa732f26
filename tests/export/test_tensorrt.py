"""Stage `export.tensorrt`, as far as it goes without a GPU."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from export import tensorrt
from export.deploy.build_engine import BuildError, check_precision, tensor_types, type_of
from export.deploy.gpu import GpuError, describe_gpu
from export.engines import sources
from pipeline.errors import NetworkError
from pipeline.facts import DRIVER_FILES, facts

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "export" / "deploy"
BOARD = {
    "gpu": True,
    "gpu_name": "NVIDIA Jetson AGX Orin",
    "power_mode": 0,
    "device": "cuda",
    "tensorrt": "10.3.0",
    "onnxruntime": "1.31.1",
    "torch": "2.15.0",
    "cpu": "ARMv8",
    "cores": 12,
    "driver": "# R36 (release), REVISION: 4.0",
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gpu": False, "gpu_name": None}, "no NVIDIA GPU, build it on the target"),
        (
            {"tensorrt": None},
            'tensorrt is not installed; in the clone run .venv/bin/pip install -e ".[tensorrt]"',
        ),
        ({"tensorrt": "10.2.0"}, "tensorrt 10.2.0 is installed, engines are built with 10.3 or later, "),
        ({"tensorrt": "12.0.1"}, "tensorrt 12.0.1 is installed, engines are built with 10.3 or later, "),
    ],
)
def test_why_it_cannot_run(change: Mapping[str, Any], reason: str) -> None:
    said = tensorrt.available(BOARD | change)
    assert said is not None and said.startswith(reason)


@pytest.mark.parametrize("version", ["10.3.0", "10.16.1.11", "11.4.0.106"])
def test_it_can_run_with_a_gpu_and_a_version_that_is_served(version: str) -> None:
    assert tensorrt.available(BOARD | {"tensorrt": version}) is None


def test_it_reads_facts_that_the_machine_tells() -> None:
    assert set(BOARD) <= set(facts())
    assert {"gpu", "gpu_name", "tensorrt", "driver", "power_mode"} == set(tensorrt.ENVIRONMENT) <= set(BOARD)


def test_stage_modules_load_nothing_heavy() -> None:
    script = (
        "import sys, export.onnx, export.tensorrt\n"
        "heavy = {'torch', 'numpy', 'PIL', 'onnx', 'onnxruntime', 'tensorrt'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_file_that_was_not_exported_is_named(onnx_folder: Path) -> None:
    asked = tensorrt.Config(forms=("fp16",), outputs=("labels",))
    with pytest.raises(NetworkError, match=r"export\.onnx published no student\.fp16\.labels\.onnx"):
        sources(onnx_folder, asked)


def test_without_a_list_every_form_that_tensorrt_reads_is_built(forms_folder: Path) -> None:
    found = [path.name for path in sources(forms_folder, tensorrt.Config(outputs=("labels",)))]
    assert found == [f"student.{form}.labels.onnx" for form in ("fp32", "fp16", "int8-tensorrt")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Half", "fp16"),
        ("Row major linear FP16 format", "fp16"),
        ("Channel major FP32 format", "fp32"),
        ("Float", "fp32"),
        ("Thirty-two wide channel vectorized row major Int8 format", "int8"),
        ("UInt8", "other"),
        ("BFloat16", "bf16"),
        ("FP8E4M3", "fp8"),
        ("Int32", "other"),
    ],
)
def test_the_inspectors_words_for_types(text: str, name: str) -> None:
    assert type_of(text) == name


def test_types_are_counted_in_either_layout_of_the_inspector() -> None:
    ten = {"Name": "Half", "Format/Datatype": "Row major linear FP32"}
    eleven = {
        "Name": "x",
        "Location": "Device",
        "Format": "Row major linear",
        "DataType": "Half",
        "Dimensions": [1],
    }
    layers = [{"Name": "conv", "Inputs": [ten], "Outputs": [eleven]}, {"Name": "no tensors"}]

    assert tensor_types({"Layers": layers}) == {"fp32": 1, "fp16": 1}


def test_an_engine_of_another_precision_is_refused() -> None:
    check_precision({"fp32": 9, "other": 1}, "fp32")
    with pytest.raises(BuildError, match="asked for fp32"):
        check_precision({"fp32": 9, "fp16": 1}, "fp32")
    with pytest.raises(BuildError, match="asked for fp32"):
        check_precision({"other": 9}, "fp32")


@pytest.mark.skipif(any(Path(file).exists() for file in DRIVER_FILES), reason="the machine has a GPU")
def test_a_machine_without_a_driver_says_so() -> None:
    with pytest.raises(GpuError, match=r"no NVIDIA driver: libcuda\.so\.1"):
        describe_gpu()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (0, "Gpu(name='Orin (nvgpu)', compute_capability='8.7', cuda_version='12.6')"),
        (100, "GpuError: the NVIDIA driver's cuInit failed with CUDA error 100"),
    ],
)
def test_the_driver_is_asked_through_its_c_interface(
    status: int, answer: str, stub_driver: Callable[[Path, int], None], tmp_path: Path
) -> None:
    stub_driver(tmp_path, status)
    script = (
        "from export.deploy.gpu import GpuError, describe_gpu\n"
        "try:\n    print(describe_gpu())\nexcept GpuError as error:\n    print(f'GpuError: {error}')"
    )
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == answer
