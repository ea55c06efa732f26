"""torch and onnxruntime behind one protocol."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.gate import predict
from export.runtimes.onnx_runtime import OnnxRuntime
from export.runtimes.protocol import Runtime, TensorSpec
from export.runtimes.torch_runtime import TorchRuntime
from export.student import load_student
from pipeline.errors import NetworkError

IMAGES_NHWC = np.random.default_rng(0).integers(0, 256, (1, 48, 96, 3), dtype=np.uint8)


@pytest.fixture(params=["torch", "onnxruntime"])
def runtime(request: pytest.FixtureRequest, student_folder: Path, onnx_folder: Path) -> Runtime:
    if request.param == "onnxruntime":
        return OnnxRuntime(onnx_folder / "student.fp32.labels.onnx", threads=1)
    student = load_student(student_folder)
    return TorchRuntime(student.deployed("labels"), student.spec, student.size_px, threads=1)


def test_both_say_what_they_take_and_give(runtime: Runtime) -> None:
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
