"""The model card beside the exported files."""

from collections.abc import Mapping, Sequence
from typing import Any

from export.parity import MARGIN, ORDINARY_SPAN, POINTS, Comparison
from export.student import Student
from stages.preprocess import PAD_RGB, Preprocess

MIB = 1 << 20


def model_card(
    student: Student, sidecars: Sequence[Mapping[str, Any]], comparisons: Sequence[Comparison], split: str
) -> str:
    """Markdown: what the files take and give, their sizes and accuracy, and how to run one."""
    height, width = student.size_px
    lines = [
        f"# {student.spec.net}, {student.spec.classes} classes, {height} x {width}",
        "",
        f"Input `images`: uint8, N x {height} x {width} x 3, RGB, resized as preprocess.json says "
        f"({student.preprocess.resize}, bilinear). Normalisation, upsampling and argmax are inside.",
        f"Output `labels`: uint8 class ids, N x {height} x {width}; or `logits`: float32, "
        f"N x {student.spec.classes} x {height} x {width}. Ids, names and colours: labels.json.",
        "",
        "| file | batch | nodes | MiB | sha256 |",
        "|---|---|---|---|---|",
        *(file_row(sidecar) for sidecar in sidecars),
        "",
        *accuracy(comparisons, split),
        "",
        "```python",
        *usage(student.preprocess, sidecars[0]),
        "```",
    ]
    return "\n".join(lines) + "\n"


def file_row(sidecar: Mapping[str, Any]) -> str:
    """One file of the table."""
    batch = sidecar["input"]["shape"][0]
    size = f"{sidecar['bytes'] / MIB:.1f}"
    return f"| {sidecar['file']} | {batch} | {sidecar['nodes']} | {size} | {sidecar['sha256'][:12]} |"


def accuracy(comparisons: Sequence[Comparison], split: str) -> list[str]:
    """The parity table: every file beside the torch student."""
    first = comparisons[0]
    lines = [
        f"Beside the torch student ({POINTS * first.miou_torch:.2f} % mIoU on {first.miou_images} images of "
        f"{split}), outputs compared on {first.images} images. A violation is a pixel with another label "
        f"whose two best logits are more than {MARGIN:g} apart (of logits that span more than {ORDINARY_SPAN:g}: that "
        f"times span / {ORDINARY_SPAN:g}).",
        "",
        "| file | mIoU % | change | max logit error | labels agree % | violations |",
        "|---|---|---|---|---|---|",
    ]
    for each in comparisons:
        error = f"{each.errors.max_abs:.1e}" if each.errors else "-"
        lines.append(
            f"| {each.file} | {POINTS * each.miou_exported:.2f} | {each.miou_delta_points:+z.3f} | {error} "
            f"| {POINTS * each.agreement.share:.4f} | {each.agreement.violations} |"
        )
    return lines


def usage(preprocess: Preprocess, sidecar: Mapping[str, Any]) -> list[str]:
    """Python that runs one picture through a file, with numpy, Pillow and onnxruntime alone."""
    batch = sidecar["input"]["shape"][0]
    repeated = f" * {batch}" if isinstance(batch, int) and batch > 1 else ""
    file, output = sidecar["file"], sidecar["output"]["name"]
    return [
        "import numpy as np, onnxruntime",
        "from PIL import Image, ImageOps",
        f'session = onnxruntime.InferenceSession("{file}", providers=["CPUExecutionProvider"])',
        'image = ImageOps.exif_transpose(Image.open("picture.jpg")).convert("RGB")',
        *fitting(preprocess),
        f'{output} = session.run(None, {{"images": np.stack([fitted]{repeated})}})[0][0]',
    ]


def fitting(preprocess: Preprocess) -> list[str]:
    """Python that makes `fitted` of `image`, pixel by pixel as `stages.preprocess.fit` does."""
    height, width = preprocess.height, preprocess.width
    if preprocess.resize == "stretch":
        return [f"fitted = image.resize(({width}, {height}), Image.Resampling.BILINEAR)"]
    return [
        f"scale = min({height} / image.height, {width} / image.width)",
        "width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))",
        f'fitted = Image.new("RGB", ({width}, {height}), {PAD_RGB})',
        f"corner = (({width} - width) // 2, ({height} - height) // 2)",
        "fitted.paste(image.resize((width, height), Image.Resampling.BILINEAR), corner)",
    ]
