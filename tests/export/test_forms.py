"""Every form of a small student: what its graph holds, how it is judged, and what its files say."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx as onnx_library
import pytest
from onnx import TensorProto, numpy_helper
from pydantic import ValidationError

from export import onnx
from export.forms import FORMS, stem
from export.graphs import Maker
from export.int8 import convolutions
from export.limits import Limits
from export.lint import lint
from export.runtimes.onnx_runtime import OnnxRuntime
from export.student import load_student
from pipeline.errors import DataError, ParityError
from pipeline.stage import Context
from stages.datasets.index import read_index

ACTIVATIONS = {"Relu", "LeakyRelu", "PRelu"}


def load(folder: Path, form: str, output: str = "logits") -> onnx_library.ModelProto:
    return onnx_library.load(folder / f"{stem(form, output)}.onnx")


def sidecar(folder: Path, form: str) -> dict:
    return json.loads((folder / f"{stem(form, 'logits')}.onnx.json").read_text())


def producers(model: onnx_library.ModelProto) -> dict[str, onnx_library.NodeProto]:
    return {output: node for node in model.graph.node for output in node.output}


def consumers(model: onnx_library.ModelProto, tensor: str) -> list[onnx_library.NodeProto]:
    return [node for node in model.graph.node if tensor in node.input]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("output", ["labels", "logits"])
def test_every_form_takes_pictures_and_gives_what_its_name_says(forms_folder, form, output) -> None:
    images_NHWC = np.random.default_rng(0).integers(0, 256, (1, 48, 96, 3), dtype=np.uint8)
    with OnnxRuntime(forms_folder / f"{stem(form, output)}.onnx") as runtime:
        result = runtime.predict(images_NHWC)
    assert result.dtype == (np.uint8 if output == "labels" else np.float32)
    assert result.shape == ((1, 48, 96) if output == "labels" else (1, 8, 48, 96))


def test_fp16_computes_in_half_but_for_its_input_and_output(forms_folder) -> None:
    model = load(forms_folder, "fp16")
    weights = Counter(tensor.data_type for tensor in model.graph.initializer if tensor.dims and len(tensor.dims) == 4)
    assert set(weights) == {TensorProto.FLOAT16}
    assert len((forms_folder / "student.fp16.logits.onnx").read_bytes()) < 0.6 * len(
        (forms_folder / "student.fp32.logits.onnx").read_bytes()
    )
    assert sidecar(forms_folder, "fp16")["made"]["kept_in_fp32"] == []


def test_every_zero_point_for_tensorrt_is_zero_and_every_scale_half(forms_folder) -> None:
    model = load(forms_folder, "int8-tensorrt")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert nodes
    for node in nodes:
        assert constants[node.input[1]].dtype == np.float16
        assert not constants[node.input[2]].any() and constants[node.input[2]].dtype == np.int8


def test_nothing_stands_between_a_convolution_and_its_activation_for_tensorrt(forms_folder) -> None:
    model = load(forms_folder, "int8-tensorrt")
    made_by = producers(model)
    for node in model.graph.node:
        if node.op_type in ACTIVATIONS:
            assert made_by[node.input[0]].op_type in ("Conv", "Add")


def test_both_inputs_of_every_convolution_are_quantised_for_tensorrt(forms_folder) -> None:
    model = load(forms_folder, "int8-tensorrt")
    made_by = producers(model)
    found = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(found) == len(convolutions(load(forms_folder, "fp32")))
    for node in found:
        assert [made_by[tensor].op_type for tensor in node.input[:2]] == ["DequantizeLinear"] * 2


def test_one_side_of_every_residual_addition_is_quantised_for_tensorrt(forms_folder) -> None:
    model = load(forms_folder, "int8-tensorrt")
    made_by = producers(model)
    additions = [n for n in model.graph.node if n.op_type == "Add" and all(tensor in made_by for tensor in n.input)]
    assert len(additions) == 8
    for node in additions:
        sides = sorted(made_by[tensor].op_type for tensor in node.input)
        assert sides == ["Conv", "DequantizeLinear"]


@pytest.mark.parametrize(("form", "reader"), [("int8-tensorrt", "QuantizeLinear"), ("int8-cpu", "DequantizeLinear")])
def test_weights_are_quantised_per_channel(forms_folder, form, reader) -> None:
    model = load(forms_folder, form)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    kernels = {name: list(tensor.dims) for name, tensor in constants.items() if len(tensor.dims) == 4}
    readers = [n for n in model.graph.node if n.op_type == reader and n.input[0] in kernels]
    quantised = len(convolutions(load(forms_folder, "fp32"))) - (form == "int8-cpu")
    assert len(readers) == quantised
    assert all(list(constants[n.input[1]].dims) == kernels[n.input[0]][:1] for n in readers)


def test_the_last_layer_keeps_its_digits_on_a_cpu(forms_folder) -> None:
    model = load(forms_folder, "int8-cpu")
    made_by = producers(model)
    upsampling = made_by["logits"]
    assert upsampling.op_type == "Resize" and made_by[upsampling.input[0]].op_type == "Conv"
    zero_points = [t for t in model.graph.initializer if t.data_type == TensorProto.UINT8]
    assert zero_points


@pytest.mark.parametrize("form", ["fp32", "fp16", "int8-tensorrt"])
def test_what_is_meant_for_tensorrt_passes_its_table(forms_folder, form) -> None:
    for output in ("labels", "logits"):
        assert lint(load(forms_folder, form, output)) == []
    assert sidecar(forms_folder, form)["tensorrt_lint"] == []


def test_the_sidecar_says_how_a_form_was_calibrated(forms_folder) -> None:
    made = sidecar(forms_folder, "int8-tensorrt")["made"]
    assert made["calibration"]["method"] == "minmax" and made["calibration"]["images"] == 4
    assert len(made["calibration"]["images_sha256"]) == 64
    bounds = json.loads((forms_folder / "calibration.json").read_text())["bounds"]
    low, high = bounds["relu"]
    assert low == 0 < high


def test_a_form_that_is_off_is_withheld_by_name_and_the_others_are_published(ctx, data_folder, student_folder) -> None:
    config = onnx.Config(forms=("fp32", "fp16"), fp16=Limits(max_logit_error=0.0), miou_images=1, parity_images=1)
    outputs = onnx.run(ctx, {"data": data_folder, "distill": student_folder}, config)
    (failure,) = outputs.failures
    assert failure.startswith("student.fp16.logits.onnx: max logit error")
    left = {path.name for path in ctx.work.glob("*.onnx")}
    assert left == {"student.fp32.labels.onnx", "student.fp32.logits.onnx", "student.fp16.labels.onnx"}
    files = {f["file"]: f for f in json.loads((ctx.work / "parity.json").read_text())["files"]}
    assert files["student.fp16.logits.onnx"]["withheld"].startswith("max logit error")
    assert files["student.fp32.logits.onnx"]["withheld"] is None


def test_an_fp32_graph_that_is_off_publishes_nothing(ctx, data_folder, student_folder) -> None:
    config = onnx.Config(forms=("fp32",), fp32=Limits(min_agreement=1.0, max_logit_error=0.0))
    with pytest.raises(ParityError, match=r"student\.fp32\.logits\.onnx: max logit error"):
        onnx.run(ctx, {"data": data_folder, "distill": student_folder}, config)


def test_the_search_leaves_the_worst_layers_in_floating_point(ctx, data_folder, student_folder) -> None:
    """A limit that int8 keeps with few layers or none: the search takes the worst first and says how it ended."""
    config = onnx.Config(sensitivity_minutes=5, max_miou_drop=0.0, calibration={"images": 2})
    maker = Maker(ctx, data_folder, read_index(data_folder), load_student(student_folder), config)
    graph = maker.make("int8-cpu")
    search = graph.notes["sensitivity"]
    errors = [row["mean_abs_logit_error"] for row in search["ranking"]]
    assert errors == sorted(errors, reverse=True)
    excluded = [row["node"] for row in search["ranking"]][: len(search["excluded"])]
    assert excluded and search["excluded"] == excluded
    assert (search["ended"] == "within the limit") == (search["miou_loss_on_training_images"] <= 0)
    kept = {node.input[1] for node in graph.model.graph.node if node.op_type == "Conv" and node.name in excluded}
    floats = {t.name for t in graph.model.graph.initializer if t.data_type == TensorProto.FLOAT}
    assert kept <= floats


def test_no_time_means_no_search(ctx, data_folder, student_folder) -> None:
    config = onnx.Config(max_miou_drop=0.0, calibration={"images": 2})
    maker = Maker(ctx, data_folder, read_index(data_folder), load_student(student_folder), config)
    assert "sensitivity" not in maker.make("int8-cpu").notes


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"forms": ("fp16",)}, "fp32 must be among forms"),
        ({"opset": 18}, "int8-tensorrt needs opset 19"),
        ({"forms": ("fp32", "int4")}, "int8-cpu"),
    ],
)
def test_settings_that_cannot_be_are_refused(fields, said) -> None:
    with pytest.raises(ValidationError, match=said):
        onnx.Config(**fields)


def test_another_list_of_classes_is_refused(ctx: Context, data_folder, student_folder, tmp_path) -> None:
    student = tmp_path / "student"
    shutil.copytree(student_folder, student)
    classes = json.loads((student / "labels.json").read_text())
    classes[0]["name"] = "heaven"
    (student / "labels.json").write_text(json.dumps(classes))
    with pytest.raises(DataError, match="heaven"):
        onnx.run(ctx, {"data": data_folder, "distill": student}, onnx.Config(forms=("fp32",)))
