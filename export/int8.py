"""The int8 forms: where a graph is quantised, for TensorRT and for CPUs, each as its runtime fuses it.

TensorRT (Q/DQ with zero points 0): the input and the weights of every convolution, nothing between a convolution and
the activation behind it, and one side of every residual addition, so that convolution, addition and activation stay
one kernel. The rest is fp16. CPUs (unsigned activations): every operator that onnxruntime computes in int8, outputs
as well.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

CONV = "Conv"


@dataclass(frozen=True)
class Target:
    """How a runtime wants a graph to be quantised."""

    operators: tuple[str, ...]
    """Operators whose inputs are quantised."""
    activations: QuantType
    options: Mapping[str, Any]
    """Of onnxruntime's quantiser."""


TENSORRT = Target(
    operators=(CONV,),
    activations=QuantType.QInt8,
    options={
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        "AddQDQPairToWeight": True,
        "OpTypesToExcludeOutputQuantization": [CONV],
    },
)
CPU = Target(
    operators=(CONV, "Add", "MatMul", "MaxPool", "Concat", "Relu", "LeakyRelu", "Resize"),
    activations=QuantType.QUInt8,
    options={"ActivationSymmetric": False, "WeightSymmetric": True},
)
CALIBRATED = CPU.operators
"""Operators whose tensors need a range for either target."""


def quantise(
    model: onnx.ModelProto,
    bounds: Mapping[str, tuple[float, float]],
    target: Target,
    excluded: Collection[str] = (),
    reduce_range: bool = False,
) -> onnx.ModelProto:
    """A quantised copy of an fp32 or fp16 graph, per channel; the nodes named in `excluded` stay as they are.

    `reduce_range` leaves one bit of the weights unused, for CPUs whose unsigned-by-signed products saturate.
    """
    inferred = onnx.shape_inference.infer_shapes(model)
    quantiser = QDQQuantizer(
        inferred,
        per_channel=True,
        reduce_range=reduce_range,
        weight_qType=QuantType.QInt8,
        activation_qType=target.activations,
        tensors_range=tensors_data(inferred, bounds),
        nodes_to_quantize=[node.name for node in quantisable(inferred, target)],
        nodes_to_exclude=list(excluded),
        op_types_to_quantize=list(target.operators),
        extra_options=dict(target.options),
    )
    if target is TENSORRT:
        for tensor in unquantised_skips(inferred, excluded):
            quantiser.quantize_activation_tensor(tensor)
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    quantised: onnx.ModelProto = quantiser.model.model
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions, in order."""
    return [node.name for node in model.graph.node if node.op_type == CONV]


def quantisable(model: onnx.ModelProto, target: Target) -> list[onnx.NodeProto]:
    """The nodes that a target may quantise: from the first convolution, since the scaling of the picture before it
    needs its digits, to the last, since eight bits of a logit would make ties of near ones. For CPUs, on which an
    operator's output is quantised too, the last convolution itself stays as it is."""
    nodes = list(model.graph.node)
    positions = [i for i, node in enumerate(nodes) if node.op_type == CONV]
    if not positions:
        return []
    end = positions[-1] + (target is TENSORRT)
    return [node for node in nodes[positions[0] : end] if node.op_type in target.operators]


def unquantised_skips(model: onnx.ModelProto, excluded: Collection[str]) -> Iterator[str]:
    """For each addition of two tensors of which no quantised convolution reads one: the side to quantise.

    Where a side is read by a convolution as well, as an identity skip is, it is quantised for that already.
    """
    conv_inputs = {n.input[0] for n in model.graph.node if n.op_type == CONV and n.name not in excluded}
    producers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type != "Add" or node.name in excluded or not all(tensor in producers for tensor in node.input):
            continue
        if not conv_inputs & set(node.input):
            yield skip_side(node, producers)


def skip_side(addition: onnx.NodeProto, producers: Mapping[str, onnx.NodeProto]) -> str:
    """The side of an addition that is not the block's last convolution: the 1x1 projection, else the second."""
    first, second = addition.input
    return first if is_pointwise(producers[first]) and not is_pointwise(producers[second]) else second


def is_pointwise(node: onnx.NodeProto) -> bool:
    """Whether a node is a 1x1 convolution."""
    sizes = next((list(a.ints) for a in node.attribute if a.name == "kernel_shape"), [])
    return node.op_type == CONV and set(sizes) == {1}


def tensors_data(model: onnx.ModelProto, bounds: Mapping[str, tuple[float, float]]) -> TensorsData:
    """The bounds as onnxruntime's quantiser takes them: in the type of each tensor, which its scale then has."""
    half = {value.name for value in model.graph.value_info if value.type.tensor_type.elem_type == TensorProto.FLOAT16}
    ranges = {
        name: tuple(np.asarray(bound, np.float16 if name in half else np.float32) for bound in pair)
        for name, pair in bounds.items()
    }
    return TensorsData(CalibrationMethod.MinMax, ranges)
