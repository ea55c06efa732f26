"""The lint names what TensorRT's parser would not take, and its table is NVIDIA's."""

import json

import pytest
from onnx import ModelProto, TensorProto, helper

from export.lint import lint, operators


def one_node(op: str, kind: int, **attributes: object) -> ModelProto:
    node = helper.make_node(op, ["x"], ["y"], name="n", **attributes)
    x, y = (helper.make_tensor_value_info(name, kind, [1, 1, 4, 4]) for name in "xy")
    return helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=[helper.make_opsetid("", 19)])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (one_node("Transpose", TensorProto.UINT8), "not UINT8"),
        (one_node("Bernoulli", TensorProto.FLOAT), "no such operator"),
        (one_node("Resize", TensorProto.FLOAT, mode="cubic"), "mode cubic"),
        (one_node("Resize", TensorProto.FLOAT, mode="linear", antialias=1), "antialiasing"),
        (one_node("QuantizeLinear", TensorProto.INT32), "not INT32"),
    ],
)
def test_faults_are_named(model, said) -> None:
    found = lint(model)
    assert len(found) == 1 and found[0].startswith("n (") and said in found[0]


def test_what_is_in_the_table_passes() -> None:
    assert lint(one_node("Relu", TensorProto.FLOAT16)) == []


def test_the_table_is_nvidias(shared) -> None:
    published = json.loads((shared / "reference" / "tensorrt_operators.json").read_text())["operators"]
    for operator, types in operators().items():
        assert published[operator]["supported"] and published[operator]["types"] == types
