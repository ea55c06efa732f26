"""The ONNX graph of a shipped network: exported, stripped of where it was made, described."""

import json
from collections.abc import Mapping
from typing import Any

import onnx
import torch
from google.protobuf.message import Message
from onnx import TensorProto, helper

from export.deployed import Deployed
from export.forms import Batch

MAX_IR_VERSION = 10
"""Newer files are refused by the onnxruntime of older boards."""


def export_logits(module: Deployed, size_px: tuple[int, int], batch: Batch, opset: int) -> onnx.ModelProto:
    """The graph images uint8 N x H x W x 3 -> logits float32 N x C x H x W, checked, with its weights inside.

    `module` must give logits. H and W are fixed to `size_px`, N to `batch` unless that is `dynamic`.
    """
    assert module.output == "logits"
    # The tracer takes a batch of one for a constant.
    traced = 2 if batch == "dynamic" else batch
    images_NHWC = torch.zeros((traced, *size_px, 3), dtype=torch.uint8)
    program = torch.onnx.export(
        module,
        (images_NHWC,),
        dynamo=True,
        opset_version=opset,
        external_data=False,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},) if batch == "dynamic" else None,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    assert model.ir_version <= MAX_IR_VERSION
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def strip(message: Message) -> None:
    """Remove every doc string and metadata entry, at any depth: the exporter writes source paths there."""
    for name in ("doc_string", "metadata_props"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in value if field.is_repeated else (value,):
                strip(child)


def labels_from_logits(logits_model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that ends in labels uint8 N x H x W: the class of the largest logit, the first among equals."""
    model = onnx.ModelProto()
    model.CopyFrom(logits_model)
    batch, _, height, width = shape_of(model.graph.output[0])
    model.graph.node.extend(
        [
            helper.make_node("ArgMax", ["logits"], ["labels_int64"], name="argmax", axis=1, keepdims=0),
            helper.make_node("Cast", ["labels_int64"], ["labels"], name="to_uint8", to=TensorProto.UINT8),
        ]
    )
    del model.graph.output[:]
    labels = helper.make_tensor_value_info("labels", TensorProto.UINT8, [batch, height, width])
    model.graph.output.append(labels)
    onnx.checker.check_model(model, full_check=True)
    return model


def shape_of(value: onnx.ValueInfoProto) -> list[int | str]:
    """Dimensions of an input or output; a dynamic one is its name."""
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def tensor_description(value: onnx.ValueInfoProto) -> dict[str, Any]:
    """Name, numpy dtype and shape of an input or output."""
    dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return {"name": value.name, "dtype": dtype.name, "shape": shape_of(value)}


def serialise(model: onnx.ModelProto, metadata: Mapping[str, Any]) -> bytes:
    """The file's bytes, `metadata` within as strings: JSON for what is not a string already."""
    described = onnx.ModelProto()
    described.CopyFrom(model)
    texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in sorted(metadata.items())}
    helper.set_model_props(described, texts)
    return described.SerializeToString(deterministic=True)


def file_description(model: onnx.ModelProto) -> dict[str, Any]:
    """What a sidecar says of the graph: input, output, versions, size."""
    return {
        "input": tensor_description(model.graph.input[0]),
        "output": tensor_description(model.graph.output[0]),
        "opset": next(each.version for each in model.opset_import if not each.domain),
        "ir_version": model.ir_version,
        "nodes": len(model.graph.node),
    }
