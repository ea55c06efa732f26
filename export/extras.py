"""What other servers want of a bundle: Triton's model repository, and trtexec's command lines."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.forms import FOR_TENSORRT

TRITON_TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}
OPTIMAL_BATCH = (1, 1, 4)


def write_triton(folder: Path, manifest: Mapping[str, Any]) -> None:
    """`triton/<model>/config.pbtxt` and `triton/<model>/1/model.onnx` for every file of a bundle."""
    for form in manifest["forms"]:
        model = folder / "triton" / Path(form["file"]).stem.replace(".", "_").replace("-", "_")
        (model / "1").mkdir(parents=True)
        shutil.copyfile(folder / form["file"], model / "1" / "model.onnx")
        (model / "config.pbtxt").write_text(triton_config(model.name, form), encoding="utf-8")


def triton_config(name: str, form: Mapping[str, Any]) -> str:
    """Triton's description of one ONNX model; with `max_batch_size` 0 the shapes count the batch."""
    tensors = [
        f'{kind} [\n  {{ name: "{form[side]["name"]}", data_type: {TRITON_TYPES[form[side]["dtype"]]}, '
        f"dims: [{', '.join(str(size if isinstance(size, int) else -1) for size in form[side]['shape'])}] }}\n]"
        for kind, side in (("input", "input"), ("output", "output"))
    ]
    head = [f'name: "{name}"', 'platform: "onnxruntime_onnx"', "max_batch_size: 0"]
    return "\n".join([*head, *tensors]) + "\n"


def trtexec(form: Mapping[str, Any]) -> str | None:
    """The command that builds and times an engine of a file with NVIDIA's own tool; None for a form it cannot read.

    The precision is the graph's: `--stronglyTyped` is the default from TensorRT 11 on and needed before.
    """
    if form["form"] not in FOR_TENSORRT:
        return None
    plan = Path(form["file"]).with_suffix(".plan").name
    parts = [f"trtexec --onnx={form['file']}", f"--saveEngine={plan}", "--stronglyTyped", "--noTF32"]
    batch, *rest = form["input"]["shape"]
    if not isinstance(batch, int):
        sizes = ("x".join(map(str, (size, *rest))) for size in OPTIMAL_BATCH)
        name = form["input"]["name"]
        parts += [f"--{key}Shapes={name}:{size}" for key, size in zip(("min", "opt", "max"), sizes, strict=True)]
    return " ".join(parts)
