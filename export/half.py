"""The fp16 form: a graph computed in half precision, but for what would overflow there."""

import onnx
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from export.calibration import Ranges

LARGEST = 65504.0
HEADROOM = 8.0
"""Factor by which a tensor may exceed what calibration saw before it would overflow."""
BLOCKED = (*DEFAULT_OP_BLOCK_LIST, "Softmax", "ArgMax")
"""Kept in fp32: what needs the digits, and what has no fp16 in some runtime."""


def overflowing(model: onnx.ModelProto, ranges: Ranges) -> list[str]:
    """Names of the nodes with an input or output that comes too near to fp16's largest value."""
    limit = LARGEST / HEADROOM
    return [
        node.name for node in model.graph.node if any(ranges.largest(t) > limit for t in (*node.input, *node.output))
    ]


def to_half(model: onnx.ModelProto, ranges: Ranges) -> tuple[onnx.ModelProto, list[str]]:
    """A copy in fp16 whose input and output keep their types, and the nodes that stay in fp32."""
    kept = overflowing(model, ranges)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    half = convert_float_to_float16(copy, keep_io_types=True, op_block_list=list(BLOCKED), node_block_list=kept)
    # The converter puts its casts at the end of the graph.
    sorted_half = ONNXModel(half)
    sorted_half.topological_sort()
    onnx.checker.check_model(sorted_half.model, full_check=True)
    return sorted_half.model, kept
