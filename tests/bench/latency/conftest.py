"""Small ONNX files of any inputs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from onnx import TensorProto, helper, save

Make = Callable[..., Path]


@pytest.fixture
def make_onnx(tmp_path: Path) -> Make:
    """`make_onnx(name, {input: (dtype, shape)})`: a file that gives its first input back."""

    def make(name: str, **inputs: tuple[str, Sequence[int | str | None]]) -> Path:
        declared = [
            helper.make_tensor_value_info(key, getattr(TensorProto, dtype), shape)
            for key, (dtype, shape) in inputs.items()
        ]
        first = next(iter(inputs))
        result = helper.make_tensor_value_info("result", getattr(TensorProto, inputs[first][0]), None)
        nodes = [helper.make_node("Identity", [first], ["result"])]
        graph = helper.make_graph(nodes, "graph", declared, [result])
        path = tmp_path / name
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
        return path

    return make
