"""The cost of stage `export.onnx`: one export and one file's latency, by the number of files and pictures."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from export.forms import Form
from export.onnx import Config
from pipeline.estimate import Answer, Estimate, Machine
from pipeline.stage import StageConfig
from stages import distill
from stages.estimates.training import data_of, described, refuse_foreign_code
from stages.nets.catalogue import modules_of
from stages.nets.config import NetConfig

SLOWNESS: Mapping[Form, float] = {"fp32": 1.0, "fp16": 2.0, "int8-tensorrt": 2.0, "int8-cpu": 0.7}
"""Latency of a form on a CPU beside fp32's: halves are computed as floats there, with casts between."""
BYTES_A_PARAMETER: Mapping[Form, int] = {"fp32": 4, "fp16": 2, "int8-tensorrt": 1, "int8-cpu": 1}
RANGES_SLOWNESS = 2.0
"""A pass that keeps every tensor for its range, beside one that does not."""
GRAPH_BYTES = 150_000
"""Of a file beside its weights, with its sidecar."""
CALIBRATION_SPLIT = "train"
S_PER_MINUTE = 60


def estimate(config: StageConfig, configs: Mapping[str, StageConfig], machine: Machine) -> Estimate:
    """Every file scores the same pictures; the ranges of int8 and fp16 take a pass over training pictures."""
    assert isinstance(config, Config)
    data = data_of(configs, machine)
    found = measured(configs, machine)
    scored = min(config.miou_images or 10**9, data.images.get(config.parity_split, 0)) + config.parity_images
    ranged = min(config.calibration.images, data.images.get(CALIBRATION_SPLIT, 0)) if len(config.forms) > 1 else 0
    files = [form for form in config.forms for _ in config.outputs]
    passes = [found["torch_s"], *(found["latency_s"] * SLOWNESS[form] for form in files)]
    seconds = (
        found["export_s"]
        + len(files) * found["load_s"]
        + scored * (sum(passes) + len(passes) * found["score_s"])
        + ranged * found["latency_s"] * RANGES_SLOWNESS
        + config.sensitivity_minutes * S_PER_MINUTE * sum(form.startswith("int8") for form in config.forms)
    )
    size = sum(int(found["parameters"]) * BYTES_A_PARAMETER[form] + GRAPH_BYTES for form in files)
    return Estimate(seconds, found["peak_mib"], size)


def measured(configs: Mapping[str, StageConfig], machine: Machine) -> Answer:
    """Seconds of an export, of loading a file, of a picture in torch and in onnxruntime, and of counting it."""
    config, exported, data = configs["distill"], configs["export.onnx"], data_of(configs, machine)
    assert isinstance(config, distill.Config) and isinstance(exported, Config)
    refuse_foreign_code(config.student)
    question = {"net": described(config.student), "classes": data.classes, "size_px": data.size_px}
    return machine.ask(
        f"an export of {config.student.net}",
        {**question, "opset": exported.opset},
        lambda: measure(config.student, data.classes, data.size_px, exported.opset),
        # Of what the stage bench has too: it asks the same.
        modules_of(config.student.net, config.student.args),
    )


def measure(net: NetConfig, classes: int, size_px: tuple[int, int], opset: int) -> Answer:
    """Export the student at random, run its file; at a smaller size where a picture would take long."""
    import time

    import numpy as np

    from export.deployed import Deployed
    from export.onnx_graph import export_logits, serialise
    from export.runtimes.onnx_runtime import OnnxRuntime
    from export.runtimes.torch_runtime import TorchRuntime
    from stages.estimates.images import fastest
    from stages.estimates.memory import watched
    from stages.estimates.rehearsed import MOST_MACS, built, macs, shrunk
    from stages.metrics import Tally
    from stages.training.config import EvaluationConfig

    def cost(size: tuple[int, int], batch: int) -> float:
        return batch * macs(net, classes, size)

    tried_px, _ = shrunk(size_px, 1, cost, MOST_MACS["cpu"])
    scale = cost(size_px, 1) / cost(tried_px, 1)
    student, spec = built(net, classes, (), tried_px, "cpu")
    images_NHWC = np.random.default_rng(0).integers(0, 256, (1, *tried_px, 3), dtype=np.uint8)
    with watched("cpu") as held, TemporaryDirectory() as folder:
        began = time.perf_counter()
        deployed = Deployed(student, spec, "logits")
        model = export_logits(deployed, tried_px, 1, opset)
        exported = time.perf_counter()
        file = Path(folder) / "student.onnx"
        file.write_bytes(serialise(model, {}))
        with OnnxRuntime(file) as runtime, TorchRuntime(deployed, spec, tried_px) as reference:
            loaded = time.perf_counter()
            latency_s = fastest(lambda: runtime.predict(images_NHWC))
            torch_s = fastest(lambda: reference.predict(images_NHWC))
        tally, ids_HW = Tally(classes, EvaluationConfig().boundary), images_NHWC[0, ..., 0] % classes
        score_s = fastest(lambda: tally.add(ids_HW, ids_HW))
    return {
        "export_s": exported - began,
        "load_s": loaded - exported,
        "latency_s": latency_s * scale,
        "torch_s": torch_s * scale,
        "score_s": score_s * scale,
        "peak_mib": held.scaled(scale),
        "macs": cost(size_px, 1),
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
    }
