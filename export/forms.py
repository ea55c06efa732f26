"""The forms in which a student is exported, and their file names. No torch."""

from typing import Literal, get_args

Form = Literal["fp32", "fp16", "int8-tensorrt", "int8-cpu"]
"""Precision of the graph, and whom it is for: int8 that TensorRT fuses is symmetric and slow on a CPU; int8 for CPUs
has unsigned activations, which TensorRT does not read."""
FORMS: tuple[Form, ...] = get_args(Form)
INT8: tuple[Form, ...] = ("int8-tensorrt", "int8-cpu")
FOR_TENSORRT: tuple[Form, ...] = ("fp32", "fp16", "int8-tensorrt")
Output = Literal["labels", "logits"]
"""`labels`: uint8 class ids; `logits`: float32 scores, for hosts that decide themselves."""
Batch = int | Literal["dynamic"]


def stem(form: Form, output: Output) -> str:
    """File name of an exported student without its suffix, e.g. `student.fp32.labels`."""
    return f"student.{form}.{output}"
