"""Whether TensorRT's parser reads a graph, as far as its documented table of operators and types tells."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

TYPE_NAMES = {
    TensorProto.FLOAT: "FP32",
    TensorProto.FLOAT16: "FP16",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.INT64: "INT64",
    TensorProto.INT32: "INT32",
    TensorProto.INT8: "INT8",
    TensorProto.UINT8: "UINT8",
    TensorProto.BOOL: "BOOL",
}
RESIZE_COORDINATES = {"half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners"}
RESIZE_MODES = {"nearest", "linear"}
ZERO_POINT = 2
"""Position of the zero point among the inputs of QuantizeLinear and DequantizeLinear."""


def lint(model: onnx.ModelProto) -> list[str]:
    """Each node that TensorRT's parser would not take, with the reason; empty where there is none."""
    types = tensor_types(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return [
        f"{node.name} ({node.op_type}): {why}" for node in model.graph.node for why in faults(node, types, constants)
    ]


def faults(node: onnx.NodeProto, types: Mapping[str, int], constants: Mapping[str, TensorProto]) -> Iterator[str]:
    """What is wrong with one node."""
    allowed = operators().get(node.op_type)
    if allowed is None or node.domain not in ("", "ai.onnx"):
        yield "TensorRT's parser knows no such operator"
        return
    first = types.get(node.input[0]) if node.input else None
    if first is not None and TYPE_NAMES.get(first, "other") not in allowed:
        yield f"takes {', '.join(allowed)}, not {TYPE_NAMES.get(first, TensorProto.DataType.Name(first))}"
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > ZERO_POINT:
        zero = constants.get(node.input[ZERO_POINT])
        if zero is None or np.any(numpy_helper.to_array(zero)):
            yield "its zero point must be a constant 0"
    if node.op_type == "Resize":
        yield from resize_faults(node)
    if node.op_type == "MaxPool" and len(node.output) > 1 and node.output[1]:
        yield "its indices are not supported"


def resize_faults(node: onnx.NodeProto) -> Iterator[str]:
    """What is wrong with how a Resize samples."""
    attributes = {a.name: a.s.decode() for a in node.attribute if a.type == onnx.AttributeProto.STRING}
    coordinates = attributes.get("coordinate_transformation_mode", "half_pixel")
    mode = attributes.get("mode", "nearest")
    if coordinates not in RESIZE_COORDINATES:
        yield f"coordinates {coordinates} are not among {', '.join(sorted(RESIZE_COORDINATES))}"
    if mode not in RESIZE_MODES:
        yield f"mode {mode} is not among {', '.join(sorted(RESIZE_MODES))}"
    if any(a.name == "antialias" and a.i for a in node.attribute):
        yield "antialiasing is not supported"


def tensor_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every tensor by name."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


@cache
def operators() -> Mapping[str, list[str]]:
    """The table: operator to the types that it takes."""
    path = Path(__file__).with_name("tensorrt_operators.toml")
    table: Mapping[str, list[str]] = tomllib.loads(path.read_text(encoding="utf-8"))["types"]
    return table
