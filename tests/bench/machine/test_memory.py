"""Peak memory of runtimes that hold a known amount, each in a process of its own."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.machine import memory
from bench.machine.memory import MemoryUnknown, Request, main, measure_peak, status_mib

SHAPE = (1, 4, 8, 3)
HELD_MIB = 96
RUNTIME = f"""
import numpy as np

class Holding:
    def __init__(self, mib):
        self.kept = np.ones(mib * 2**20, dtype=np.uint8)
        passing = np.ones(2 * mib * 2**20, dtype=np.uint8)

    def predict(self, images_NHWC):
        assert images_NHWC.shape == {SHAPE} and images_NHWC.dtype == np.uint8
        return images_NHWC

    def close(self):
        pass

class Network:
    def run(self, feeds):
        index, images = feeds["the/index"], feeds["images"]
        assert (index.dtype, index.tolist(), images.shape) == (np.int64, [1], (1, 3, 4, 8)) and len(feeds) == 2
        self.kept = np.ones(96 * 2**20, dtype=np.uint8)

    def close(self):
        pass

def fail(mib):
    raise MemoryError("no room for\\nso much")
"""
LINUX = pytest.mark.skipif(not memory.STATUS.exists(), reason="only Linux tells the peak")


@pytest.fixture
def holding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `holding_runtime` that processes of this test can import."""
    (tmp_path / "holding_runtime.py").write_text(RUNTIME)
    monkeypatch.syspath_prepend(str(tmp_path))


@LINUX
@pytest.mark.usefixtures("holding")
def test_the_peak_counts_what_passes_too_and_not_what_this_process_holds() -> None:
    mine = np.ones(512 * 2**20, dtype=np.uint8)
    found = measure_peak(Request("holding_runtime:Holding", {"mib": HELD_MIB}, SHAPE, "cpu"))
    assert mine.nbytes > found * 2**20
    assert found == pytest.approx(3 * HELD_MIB, rel=0.1)


@LINUX
@pytest.mark.usefixtures("holding")
def test_a_network_is_fed_what_was_written_for_it(tmp_path: Path) -> None:
    arrays = {"the/index": np.ones(1, np.int64), "images": np.zeros((1, 3, 4, 8), np.float32)}
    feeds = {name: str(tmp_path / f"{index}.npy") for index, name in enumerate(arrays)}
    for name, path in feeds.items():
        np.save(path, arrays[name])
    found = measure_peak(Request("holding_runtime:Network", {}, (), "cpu", feeds=feeds))
    assert found == pytest.approx(2 * HELD_MIB, rel=0.1)


@LINUX
@pytest.mark.usefixtures("holding")
def test_a_runtime_that_fails_is_a_reason() -> None:
    with pytest.raises(MemoryUnknown, match=r"^MemoryError: no room for so much$"):
        measure_peak(Request("holding_runtime:fail", {"mib": 1}, SHAPE, "cpu"))


@LINUX
def test_an_onnx_file_takes_its_weights_at_least(tmp_path: Path) -> None:
    """16 MiB of weights, added to the picture's mean."""
    side = 2048
    weights = np.random.default_rng(0).random((side, side), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["mean"], keepdims=0),
            helper.make_node("Add", ["weights", "mean"], ["out"]),
        ],
        "known",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, SHAPE)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, (side, side))],
        [numpy_helper.from_array(weights, "weights")],
    )
    path = tmp_path / "known.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    arguments = {"path": str(path), "device": "cpu", "threads": 1}
    found = measure_peak(Request("export.runtimes.onnx_runtime:open_onnx", arguments, SHAPE, "cpu"))
    assert 32 <= found < 200


def test_another_system_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "no-proc")
    with pytest.raises(MemoryUnknown, match="Linux"):
        measure_peak(Request("holding_runtime:Holding", {"mib": 1}, SHAPE, "cpu"))


def test_lines_of_status() -> None:
    told = "Name:\tpython\nVmHWM:\t  204800 kB\nVmRSS:\t    1024 kB\n"
    assert (status_mib(told, "VmHWM"), status_mib(told, "VmRSS")) == (200.0, 1.0)
    with pytest.raises(MemoryUnknown, match="VmSwap"):
        status_mib(told, "VmSwap")


def test_a_request_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["{}"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
