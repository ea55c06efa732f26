"""torch and onnxruntime behind one protocol."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, save

from export.gate import predict
from export.runtimes.onnx_runtime import OnnxRuntime
from export.runtimes.openvino_runtime import OpenVinoRuntime
from export.runtimes.protocol import Runtime, TensorSpec
from export.runtimes.torch_runtime import TorchRuntime
from export.student import load_student
from pipeline.errors import NetworkError

IMAGES_NHWC = np.random.default_rng(0).integers(0, 256, (1, 48, 96, 3), dtype=np.uint8)


@pytest.fixture(params=["torch", "onnxruntime", "openvino"])
def runtime(request: pytest.FixtureRequest, student_folder: Path, onnx_folder: Path) -> Runtime:
    if request.param == "onnxruntime":
        return OnnxRuntime(onnx_folder / "student.fp32.labels.onnx", threads=1)
    if request.param == "openvino":
        pytest.importorskip("openvino")
        return OpenVinoRuntime(onnx_folder / "student.fp32.labels.onnx", threads=1)
    student = load_student(student_folder)
    return TorchRuntime(student.deployed("labels"), student.spec, student.size_px, threads=1)


def test_all_say_what_they_take_and_give(runtime: Runtime) -> None:
    with runtime:
        labels_NHW = runtime.predict(IMAGES_NHWC)

        assert (runtime.input.name, runtime.input.dtype, runtime.input.shape[1:]) == (
            "images",
            "uint8",
            (48, 96, 3),
        )
        assert (runtime.output.name, runtime.output.dtype) == ("labels", "uint8")
        assert labels_NHW.dtype == np.uint8
        assert labels_NHW.shape == (1, *runtime.output.shape[1:])


def test_they_agree(student_folder: Path, onnx_folder: Path) -> None:
    student = load_student(student_folder)
    with (
        TorchRuntime(student.deployed("logits"), student.spec, student.size_px) as reference,
        OnnxRuntime(onnx_folder / "student.fp32.logits.onnx") as exported,
    ):
        assert exported.output == TensorSpec("logits", "float32", (1, 8, 48, 96))
        assert exported.name.endswith("CPUExecutionProvider")
        np.testing.assert_allclose(exported.predict(IMAGES_NHWC), reference.predict(IMAGES_NHWC), atol=1e-3)


def test_openvino_computes_fp32_in_fp32(onnx_folder: Path) -> None:
    """bf16, which it would choose by itself on some CPUs, is off by far more."""
    pytest.importorskip("openvino")
    path = onnx_folder / "student.fp32.logits.onnx"
    with OnnxRuntime(path, threads=1) as reference, OpenVinoRuntime(path, threads=1) as other:
        expected, found = reference.predict(IMAGES_NHWC), other.predict(IMAGES_NHWC)
        np.testing.assert_allclose(found, expected, atol=2e-3)
        # A result stays as it is when the next one is made.
        kept = found.copy()
        other.predict(255 - IMAGES_NHWC)
        np.testing.assert_array_equal(found, kept)


def several(path: Path) -> Path:
    """A file of two inputs of other types and two results."""
    inputs = [
        helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info("b", TensorProto.INT64, ["n", 2]),
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("sum", "product")]
    nodes = [
        helper.make_node("Cast", ["b"], ["b_float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["a", "b_float"], ["sum"]),
        helper.make_node("Mul", ["a", "b_float"], ["product"]),
    ]
    graph = helper.make_graph(nodes, "several", inputs, results)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_any_inputs_and_outputs(name: str, tmp_path: Path) -> None:
    path = several(tmp_path / "several.onnx")
    if name == "openvino":
        pytest.importorskip("openvino")
    a, b = np.array([[1.5, 2.0]], np.float32), np.array([[2, 3]], np.int64)
    with OnnxRuntime(path) if name == "onnxruntime" else OpenVinoRuntime(path) as network:
        assert [(spec.name, spec.dtype) for spec in network.inputs] == [("a", "float32"), ("b", "int64")]
        total, product = network.run({"a": a, "b": b})
        assert (total.tolist(), product.tolist()) == ([[3.5, 5.0]], [[3.0, 6.0]])
        with pytest.raises(NetworkError, match=r"has 2 inputs \(a, b\)"):
            network.predict(IMAGES_NHWC)


def test_a_bound_call_computes_on_what_lies_on_the_device(tmp_path: Path) -> None:
    calls = []
    with OnnxRuntime(several(tmp_path / "several.onnx")) as network:
        call = network.bound({"a": np.ones((1, 2), np.float32), "b": np.ones((1, 2), np.int64)})
        for _ in range(2):
            calls.append(call())
    assert calls == [None, None]


def test_a_file_that_openvino_cannot_load_is_named(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(NetworkError, match=r"OpenVINO cannot load .*broken\.onnx"):
        OpenVinoRuntime(tmp_path / "broken.onnx")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with a C++ compiler")
def test_compiled_torch_gives_what_eager_torch_gives(student_folder: Path) -> None:
    student = load_student(student_folder)
    eager = TorchRuntime(student.deployed("logits"), student.spec, student.size_px)
    compiled = TorchRuntime(student.deployed("logits"), student.spec, student.size_px, compiled_batch=1)
    with eager, compiled:
        np.testing.assert_allclose(compiled.predict(IMAGES_NHWC), eager.predict(IMAGES_NHWC), atol=1e-3)
        assert compiled.name.endswith("cpu compiled")


def test_a_wrong_size_is_refused_with_both_sizes(runtime: Runtime) -> None:
    with runtime, pytest.raises(NetworkError, match=r"48 x 96 x 3 .*, not 1 x 64 x 96 x 3; resize"):
        runtime.predict(np.zeros((1, 64, 96, 3), dtype=np.uint8))


def test_floats_and_single_pictures_are_refused(runtime: Runtime) -> None:
    with runtime:
        with pytest.raises(NetworkError, match="not float32 with 4 axes"):
            runtime.predict(IMAGES_NHWC.astype(np.float32))
        with pytest.raises(NetworkError, match="not uint8 with 3 axes"):
            runtime.predict(IMAGES_NHWC[0])


def test_a_batch_that_the_file_does_not_take_is_refused(onnx_folder: Path) -> None:
    with (
        OnnxRuntime(onnx_folder / "student.fp32.labels.onnx") as runtime,
        pytest.raises(NetworkError, match=r"takes 1 x 48 x 96 x 3 .*, not 2 x 48 x 96 x 3"),
    ):
        runtime.predict(np.repeat(IMAGES_NHWC, 2, axis=0))


def test_closing_ends_its_use(runtime: Runtime) -> None:
    runtime.close()

    with pytest.raises(AssertionError, match="closed"):
        runtime.predict(IMAGES_NHWC)


def test_torch_gets_its_threads_back(student_folder: Path) -> None:
    student = load_student(student_folder)
    before = torch.get_num_threads()

    with TorchRuntime(student.deployed("labels"), student.spec, student.size_px, threads=before + 1):
        assert torch.get_num_threads() == before + 1

    assert torch.get_num_threads() == before


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no network")

    with pytest.raises(NetworkError, match=r"cannot load .*broken\.onnx: .*"):
        OnnxRuntime(tmp_path / "broken.onnx")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
def test_a_provider_that_is_not_there_is_refused_not_replaced(onnx_folder: Path) -> None:
    with pytest.raises(NetworkError, match="on CPUExecutionProvider, not CUDAExecutionProvider"):
        OnnxRuntime(onnx_folder / "student.fp32.labels.onnx", device="cuda")


class Fixed:
    """Gives every picture's first byte; its batch is fixed to 3."""

    name = "fixed"
    input = TensorSpec("images", "uint8", (3, 1, 1, 3))

    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        assert len(images_NHWC) == 3
        return images_NHWC[:, 0, 0, 0]


def test_a_fixed_batch_is_filled_up_and_cut() -> None:
    images_NHWC = np.arange(6, dtype=np.uint8).reshape(2, 1, 1, 3)

    assert predict(Fixed(), images_NHWC).tolist() == [0, 3]  # type: ignore[arg-type]
