"""An export of a network at random: how long each of its parts takes, and what it holds.

Where a pass would take too long to try, the picture is made smaller, and what was measured is scaled by the
multiply-accumulates of the network.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from export.calibration import CHUNK_IMAGES, Ranges
from export.calibration import measure as measure_ranges
from export.calibration_config import CalibrationConfig
from export.deployed import Deployed
from export.forms import INT8, Form
from export.gate import labels_of
from export.half import to_half
from export.int8 import CALIBRATED, CPU, TENSORRT, quantise
from export.onnx import Config
from export.onnx_graph import export_logits, serialise
from export.parity import label_agreement, logit_errors
from export.runtimes.onnx_runtime import OnnxRuntime
from export.runtimes.torch_runtime import TorchRuntime
from stages.estimates.images import fastest, seconds_to_read
from stages.estimates.memory import watched
from stages.estimates.outline import Outline
from stages.estimates.rehearsed import built, macs, shrunk
from stages.metrics import Tally
from stages.nets.config import NetConfig
from stages.training.config import EvaluationConfig

MOST_MACS = 1e10
"""Multiply-accumulates of a pass that is tried: a fraction of a second, of which all forms together take dozens."""
FEW, MANY = CHUNK_IMAGES, 3 * CHUNK_IMAGES
"""Pictures of two calibrations: what the second takes longer is that of its further pictures."""

Bounds = Mapping[str, tuple[float, float]]


def rehearse(net: NetConfig, data: Outline, config: Config) -> dict[str, float]:
    """Seconds and MiB of an export's parts; those that go by pictures are of one, at the data's size.

    `export_s`, `make_s`: torch's export, and the other forms' graphs from it. `ranges_s`, `ranged_s`: a calibration
    whatever its pictures, and each of them. `load_s:FORM`, `pass_s:FORM`: opening a file up to its first inference,
    and every other. `torch_s`, `score_s`, `compare_s`, `read_s`: a pass in torch, counting a prediction, holding one
    against torch's, decoding a picture with its label. `run_mib`, `ranges_mib`: at most without and in calibration.
    """

    def cost(size_px: tuple[int, int], batch: int) -> float:
        return batch * macs(net, data.classes, size_px)

    tried_px, _ = shrunk(data.size_px, 1, cost, MOST_MACS)
    scale = cost(data.size_px, 1) / cost(tried_px, 1)
    student, spec = built(net, data.classes, (), tried_px, "cpu")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (1, *tried_px, 3), dtype=np.uint8) for _ in range(MANY)]
    with watched("cpu") as running:
        deployed = Deployed(student, spec, "logits")
        began = time.perf_counter()
        model = export_logits(deployed, tried_px, 1, config.opset)
        export_s = time.perf_counter() - began
        with TorchRuntime(deployed, spec, tried_px) as reference:
            torch_s = fastest(lambda: reference.predict(pictures[0]))
            logits_NCHW = reference.predict(pictures[0])
        fixed, scaling = run_forms({"fp32": model}, pictures[0])
    others = [form for form in config.forms if form != "fp32"]
    with watched("cpu") as ranging:
        if others:
            fixed["ranges_s"], scaling["ranged_s"] = calibrate(model, pictures, config)
            fixed["make_s"], graphs = make(model, pictures[0], others)
            for found, more in zip((fixed, scaling), run_forms(graphs, pictures[0]), strict=True):
                found.update(more)
    scaling |= {"torch_s": torch_s, **judge(logits_NCHW)}
    return {
        **fixed,
        **{name: seconds * scale for name, seconds in scaling.items()},
        "export_s": export_s,
        "read_s": seconds_to_read(data.size_px, data.png),
        "run_mib": running.scaled(scale),
        "ranges_mib": ranging.scaled(scale),
        "macs": cost(data.size_px, 1),
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
    }


def calibrate(model: onnx.ModelProto, pictures: Sequence[np.ndarray], config: Config) -> tuple[float, float]:
    """Seconds of a calibration whatever its pictures, and of each of them."""
    int8 = any(form in INT8 for form in config.forms)
    method, operators = (config.calibration, CALIBRATED) if int8 else (CalibrationConfig(), None)

    def seconds(images: int) -> float:
        began = time.perf_counter()
        measure_ranges(model, pictures[:images], method, operators)
        return time.perf_counter() - began

    few_s, many_s = seconds(FEW), seconds(MANY)
    ranged_s = max(many_s - few_s, 0.0) / (MANY - FEW)
    return max(few_s - FEW * ranged_s, 0.0), ranged_s


def make(
    model: onnx.ModelProto, picture_NHWC: np.ndarray, forms: Sequence[Form]
) -> tuple[float, dict[Form, onnx.ModelProto]]:
    """Seconds of making every form but fp32 from a graph whose ranges are known, and the graphs."""
    bounds: Bounds = measure_ranges(model, [picture_NHWC], CalibrationConfig())
    began = time.perf_counter()
    half, kept = to_half(model, Ranges("minmax", 1, "", bounds))
    makers: Mapping[Form, Callable[[], onnx.ModelProto]] = {
        "fp16": lambda: half,
        "int8-tensorrt": lambda: quantise(half, bounds, TENSORRT, kept),
        "int8-cpu": lambda: quantise(model, bounds, CPU),
    }
    graphs = {form: makers[form]() for form in forms}
    return time.perf_counter() - began, graphs


def run_forms(
    graphs: Mapping[Form, onnx.ModelProto], picture_NHWC: np.ndarray
) -> tuple[dict[str, float], dict[str, float]]:
    """`load_s:FORM` and `pass_s:FORM` of each graph in onnxruntime."""
    loads, passes = {}, {}
    with TemporaryDirectory() as folder:
        for form, graph in graphs.items():
            path = Path(folder) / f"{form}.onnx"
            path.write_bytes(serialise(graph, {}))
            began = time.perf_counter()
            with OnnxRuntime(path) as runtime:
                runtime.predict(picture_NHWC)
                loads[f"load_s:{form}"] = time.perf_counter() - began
                passes[f"pass_s:{form}"] = fastest(partial(runtime.predict, picture_NHWC))
    return loads, passes


def judge(logits_NCHW: np.ndarray) -> dict[str, float]:
    """Seconds to count a prediction, and to hold it against torch's."""
    tally = Tally(logits_NCHW.shape[1], EvaluationConfig().boundary)

    def score() -> None:
        (labels_HW,) = labels_of(logits_NCHW)
        tally.add(labels_HW, labels_HW)

    def compare() -> None:
        label_agreement(logits_NCHW, labels_of(logits_NCHW))
        logit_errors(logits_NCHW, logits_NCHW)

    return {"score_s": fastest(score), "compare_s": fastest(compare)}
