"""The forms in which a student is exported, and their file names. No torch."""

from typing import Literal

Form = Literal["fp32"]
"""Precision of the graph."""
Output = Literal["labels", "logits"]
"""`labels`: uint8 class ids; `logits`: float32 scores, for hosts that decide themselves."""
Batch = int | Literal["dynamic"]


def stem(form: Form, output: Output) -> str:
    """File name of an exported student without its suffix, e.g. `student.fp32.labels`."""
    return f"student.{form}.{output}"
