"""Ranges are those of the images, however they are fed and whatever method bounds them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from export.calibration import Ranges, chunks, measure
from export.calibration_config import CalibrationConfig
from export.half import overflowing, to_half


def doubling(factor: float = 2) -> onnx.ModelProto:
    """images uint8 1x2x2x3 -> twice their values, or another multiple, as float."""
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["values", "two"], ["doubled"], name="mul"),
        helper.make_node("Add", ["doubled", "zero"], ["logits"], name="add"),
    ]
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, [1], [value]) for name, value in (("two", factor), ("zero", 0))
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, [1, 2, 2, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, 2, 3])
    graph = helper.make_graph(nodes, "doubling", [images], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def picture(*values: int) -> np.ndarray:
    return np.resize(np.array(values, np.uint8), (1, 2, 2, 3))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_minmax_spans_all_images_in_chunks_of_any_number(count) -> None:
    images = [picture(10 * (i + 1), 3) for i in range(count)]
    seen: list[int] = []
    found = measure(doubling(), images, CalibrationConfig(), ("Mul", "Add"), seen.append)
    assert found["doubled"] == (6.0, 20.0 * count)
    assert sum(seen) == count


def test_a_percentile_cuts_outliers() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 100, (1, 2, 2, 3), dtype=np.uint8) for _ in range(200)] + [picture(255)]
    config = CalibrationConfig(method="percentile", percentile=99.0)
    assert measure(doubling(), images, config, ("Mul",))["doubled"][1] <= 200.0


def test_entropy_keeps_within_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 100, (1, 2, 2, 3), dtype=np.uint8) for _ in range(50)]
    low, high = measure(doubling(), images, CalibrationConfig(method="entropy"), ("Mul",))["doubled"]
    assert 0 <= low < high <= 200


def test_chunks_are_read_as_they_are_needed() -> None:
    taken = []

    def images():
        for i in range(5):
            taken.append(i)
            yield picture(i)

    first = next(chunks(images(), 2))
    assert len(first) == 2 and taken == [0, 1]


def test_what_would_overflow_half_precision_stays_in_fp32() -> None:
    model, white = doubling(400), picture(255)
    ranges = Ranges("minmax", 1, "0" * 64, measure(model, [white], CalibrationConfig()))
    assert overflowing(model, ranges) == ["mul", "add"]
    half, kept = to_half(model, ranges)
    assert kept == ["mul", "add"]
    assert values(half, white) == 102_000
    blind, _ = to_half(model, Ranges("minmax", 0, "0" * 64, {}))
    assert values(blind, white) == np.inf


def test_nodes_kept_in_fp32_may_read_one_tensor_and_one_constant() -> None:
    model = doubling()
    model.graph.node[2].input[1] = "left"
    for name in ("left", "right"):
        model.graph.node.append(helper.make_node("Mul", ["doubled", "two"], [name], name=name))
    model.graph.node[2].input[0] = "right"
    model.graph.node.append(model.graph.node.pop(2))
    ranges = Ranges("minmax", 1, "0" * 64, {name: (0.0, 60_000.0) for name in ("left", "right", "logits")})
    half, kept = to_half(model, ranges)
    assert kept == ["left", "right", "add"]
    assert values(half, picture(255)) == 255 * 8


def values(model: onnx.ModelProto, image: np.ndarray) -> float:
    """The one value that a model makes of an image of one colour, every operator computed in its own precision.

    onnxruntime's CPU provider computes fp16 in fp32 and drops the casts between: it cannot show an overflow.
    """
    with np.errstate(over="ignore"):
        (value,) = np.unique(ReferenceEvaluator(model).run(None, {"images": image})[0])
    return float(value)


def test_what_fits_half_precision_is_all_half() -> None:
    assert overflowing(doubling(), Ranges("minmax", 1, "0" * 64, {"doubled": (0.0, 500.0)})) == []


def test_the_digest_tells_images_apart(data_folder: Path) -> None:
    from export.gate import Pictures
    from stages.datasets.index import read_index

    index = read_index(data_folder)
    train, test = (Pictures(index, data_folder, split, index.preprocess).sha256() for split in ("train", "test"))
    assert train != test and len(train) == 64
