"""The cost of stage `export.onnx`: an export, and the latency of a file of each form, by the number of pictures."""

import time
from collections.abc import Mapping

from export.calibration_config import CALIBRATION_SPLIT, HALF_IMAGES
from export.forms import INT8, Form
from export.onnx import Config
from pipeline.estimate import Answer, Estimate, Machine
from pipeline.stage import StageConfig
from stages import distill
from stages.estimates.outline import Outline
from stages.estimates.training import data_of, described, refuse_foreign_code
from stages.nets.catalogue import modules_of

BYTES_A_PARAMETER: Mapping[Form, int] = {"fp32": 4, "fp16": 2, "int8-tensorrt": 1, "int8-cpu": 1}
GRAPH_BYTES = 150_000
"""Of a file beside its weights, with its sidecar."""
MADE_OF_HALVES: tuple[Form, ...] = ("fp16", "int8-tensorrt")
S_PER_MINUTE = 60


def estimate(config: StageConfig, configs: Mapping[str, StageConfig], machine: Machine) -> Estimate:
    """Every file scores the same pictures; the ranges of int8 and fp16 take a pass over training pictures."""
    assert isinstance(config, Config)
    data = data_of(configs, machine)
    found = measured(configs, machine)
    files = [form for form in config.forms for _ in config.outputs]
    pictures = data.images.get(config.parity_split, 0)
    passes_s = found["torch_s"] + sum(found[f"pass_s:{form}"] for form in files)
    read_s = found["read_s"] / machine.cores
    seconds = (
        found["import_s"]
        + found["export_s"]
        + sum(found[f"load_s:{form}"] for form in files)
        + min(config.miou_images or pictures, pictures) * (passes_s + (1 + len(files)) * (found["score_s"] + read_s))
        + min(config.parity_images, pictures) * (passes_s + len(files) * found["compare_s"])
        + config.sensitivity_minutes * S_PER_MINUTE * sum(form in INT8 for form in config.forms)
    )
    size = sum(int(found["parameters"]) * BYTES_A_PARAMETER[form] + GRAPH_BYTES for form in files)
    peak_mib = found["run_mib"]
    if calibrations := images_ranged(config, data):
        seconds += found["make_s"] + len(calibrations) * found["ranges_s"]
        seconds += sum(calibrations) * (found["ranged_s"] + read_s)
        peak_mib = max(peak_mib, found["ranges_mib"])
    return Estimate(seconds, peak_mib, size)


def images_ranged(config: Config, data: Outline) -> list[int]:
    """Training pictures of each calibration: one for halves, and one for both int8 forms."""
    wanted = []
    if any(form in MADE_OF_HALVES for form in config.forms):
        wanted.append(HALF_IMAGES)
    if any(form in INT8 for form in config.forms):
        wanted.append(config.calibration.images)
    return [min(images, data.images.get(CALIBRATION_SPLIT, 0)) for images in wanted]


def measured(configs: Mapping[str, StageConfig], machine: Machine) -> Answer:
    """`export.rehearsed.rehearse` of the student, and `import_s`, seconds to import what it runs."""
    config, exported, data = configs["distill"], configs["export.onnx"], data_of(configs, machine)
    assert isinstance(config, distill.Config) and isinstance(exported, Config)
    student = config.student
    refuse_foreign_code(student)
    question = {
        "net": described(student),
        "classes": data.classes,
        "size_px": data.size_px,
        "png": data.png,
        **exported.model_dump(mode="json", include={"opset", "forms"}),
        "calibration": exported.calibration.model_dump(mode="json", exclude={"images"}),
    }

    def measure() -> Answer:
        began = time.perf_counter()
        from export.rehearsed import rehearse

        import_s = time.perf_counter() - began
        return {"import_s": import_s, **rehearse(student, data, exported)}

    # Of the network alone: the stage bench has its code too, and asks the same.
    return machine.ask(f"an export of {student.net}", question, measure, modules_of(student.net, student.args))
