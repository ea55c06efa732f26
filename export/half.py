"""The fp16 form: a graph computed in half precision, but for what would overflow there."""

from collections.abc import Collection

import onnx
from onnx import TensorProto
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
    drop_repeated(half)
    join_kept(half, {node.name for node in model.graph.node})
    # The converter puts its casts at the end of the graph.
    sorted_half = ONNXModel(half)
    sorted_half.topological_sort()
    # It leaves types behind that no longer hold, of tensors whose own node says another.
    del sorted_half.model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(sorted_half.model, check_type=True)
    onnx.checker.check_model(inferred, full_check=True)
    return inferred, kept


def drop_repeated(model: onnx.ModelProto) -> None:
    """Keep one of the casts that the converter adds for each fp32 reader of a tensor or constant, all of one name."""
    nodes = {tuple(node.output): node for node in reversed(model.graph.node)}
    once = [node for node in model.graph.node if nodes[tuple(node.output)] is node]
    del model.graph.node[:]
    model.graph.node.extend(once)


def join_kept(model: onnx.ModelProto, original: Collection[str]) -> None:
    """Let nodes that stay in fp32 hand their values on as they are; `original` names the nodes before conversion.

    The converter casts every result to fp16 and back, also between two such nodes: just there it would overflow.
    """
    added = [node for node in model.graph.node if node.op_type == "Cast" and node.name not in original]
    to_half = {node.output[0]: node for node in added if target(node) == TensorProto.FLOAT16}
    for node in added:
        before = to_half.get(node.input[0])
        if before is not None:
            node.op_type = "Identity"
            node.input[0] = before.input[0]
            del node.attribute[:]


def target(cast: onnx.NodeProto) -> int:
    """The type to which a Cast converts."""
    return next(attribute.i for attribute in cast.attribute if attribute.name == "to")
