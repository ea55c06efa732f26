"""The README that goes to the board."""

from collections.abc import Mapping
from typing import Any

from export.extras import trtexec


def readme(manifest: Mapping[str, Any]) -> str:
    """Markdown: what the folder holds, and the commands in the order in which a board needs them."""
    pre = manifest["preprocess"]
    lines = [
        f"# {manifest['network']['net']}, {len(manifest['classes'])} classes, {pre['height']} x {pre['width']}",
        "",
        "Semantic segmentation for a board. Python 3.10 or newer with numpy and Pillow, and one of:",
        "TensorRT 10.3 or later, before 12, with pycuda (a Jetson has TensorRT), or onnxruntime. No torch.",
        "",
        "| file | precision | input | gives | mIoU % | images |",
        "|---|---|---|---|---|---|",
        *(row(form) for form in manifest["forms"]),
        "",
        f"mIoU of split `{manifest['forms'][0]['miou_split']}` in onnxruntime on a CPU. The accuracy of an engine that",
        "is built here is not measured until `evaluate.py` has run.",
        "",
        "```",
        "python build_engine.py                        # engines/ for this GPU, each checked against golden/",
        "python infer.py PICTURE_FOLDER_OR_VIDEO --overlay out/",
        "python evaluate.py IMAGES LABELS              # mIoU of the engine itself",
        "python benchmark.py                           # report.json, for `report --add` where this was made",
        "```",
        "",
        "Every program checks every file of this folder against manifest.json before it starts, and prints one JSON",
        "document on stdout. `--runtime onnxruntime` runs without a GPU.",
        "",
        "Input `images`: uint8, N x H x W x 3, RGB, resized as lib/stages/preprocess.py does; the rest of the",
        "preprocessing is inside the files. Output `labels`: uint8 class ids; ids, names and colours in manifest.json.",
        "",
        "With NVIDIA's own tool:",
        "",
        "```",
        *(command for form in manifest["forms"] if (command := trtexec(form))),
        "```",
    ]
    return "\n".join(lines) + "\n"


def row(form: Mapping[str, Any]) -> str:
    """One file of the table."""
    shape = "x".join(map(str, form["input"]["shape"]))
    miou = f"{100 * form['miou']:.2f}"
    return f"| {form['file']} | {form['form']} | {shape} | {form['output']['name']} | {miou} | {form['miou_images']} |"
