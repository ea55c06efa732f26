"""The folder that goes to a board: the exported files, programs that need no torch, and proof that all is as made."""

import json
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from export.bundle_readme import readme
from export.deploy.manifest import MANIFEST, SCHEMA_VERSION, SEAL, seal_of
from export.extras import write_triton
from export.golden import golden_labels, min_agreement, render_golden
from export.scored import labelled_splits
from export.sidecar import read_sidecar, sha256
from pipeline.errors import StoreError
from stages.datasets.index import read_index
from stages.preprocess import Preprocess

ROOT = Path(__file__).resolve().parent.parent
TRAVELS = (
    "pipeline/__init__.py",
    "pipeline/errors.py",
    "pipeline/facts.py",
    "stages/__init__.py",
    "stages/preprocess.py",
    "stages/metrics.py",
    "export/__init__.py",
    "export/deploy",
    "export/runtimes/__init__.py",
    "export/runtimes/protocol.py",
    "export/runtimes/onnx_runtime.py",
    "export/runtimes/tensorrt_runtime.py",
    "bench/__init__.py",
    "bench/board.py",
    "bench/machine",
    "bench/turns",
)
"""Sources that go along as they are: what a board computes is what was tested here."""
PROGRAMS = {
    "build_engine": "export.deploy.build",
    "infer": "export.deploy.infer",
    "evaluate": "export.deploy.evaluate",
    "benchmark": "bench.board",
}
"""Program at the top of a bundle to the module that holds its `main`."""
PROGRAM = '''"""{doc}"""

import hashlib
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LISTED = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))["files"]
# Before anything of lib/ is imported: what is not as it was made is not run.
for path in sorted((FOLDER / "lib").rglob("*.py")):
    name = path.relative_to(FOLDER).as_posix()
    if hashlib.sha256(path.read_bytes()).hexdigest() != LISTED.get(name, {{}}).get("sha256"):
        print(f"error: {{name}} is not a file that the bundle was made with: copy it again", file=sys.stderr)
        sys.exit(2)
sys.path.insert(0, str(FOLDER / "lib"))

from {module} import main  # noqa: E402

sys.exit(main(FOLDER))
'''


def write_bundle(exported: Path, data: Path, out: Path, triton: bool, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the new folder `out` from an `export.onnx` and a `data` artifact; returns the manifest.

    `provenance` names the artifacts. StoreError where `out` is there already and not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise StoreError(f"{out} is not empty: name a new folder")
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        copy_programs(part)
        for path in sorted([*exported.glob("*.onnx"), *exported.glob("*.onnx.json")]):
            shutil.copyfile(path, part / path.name)
        manifest = describe(exported, data, part, provenance)
        if triton:
            write_triton(part, manifest)
        (part / "README.md").write_text(readme(manifest), encoding="utf-8")
        manifest["files"] = listing(part)
        manifest[SEAL] = seal_of(manifest)
        (part / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            out.rmdir()
        os.rename(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def copy_programs(part: Path) -> None:
    """The programs at the top, and below lib/ the sources that they run."""
    for name in TRAVELS:
        source, target = ROOT / name, part / "lib" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for program, module in PROGRAMS.items():
        doc = f"python {program}.py --help"
        (part / f"{program}.py").write_text(PROGRAM.format(doc=doc, module=module), encoding="utf-8")


def describe(exported: Path, data: Path, part: Path, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest but for the list of files; writes the golden picture and its labels."""
    sidecars = [read_sidecar(path) for path in sorted(exported.glob("*.onnx"))]
    parity = json.loads((exported / "parity.json").read_text(encoding="utf-8"))
    index = read_index(data)
    golden = render_golden(Preprocess.from_json(sidecars[0]["preprocess"]))
    labels_NHW = golden_labels(exported / next(s["file"] for s in sidecars if s["form"] == "fp32"), golden)
    (part / "golden").mkdir()
    for name, pixels in (("image", golden[0]), ("labels", labels_NHW[0])):
        Image.fromarray(pixels).save(part / "golden" / f"{name}.png")
    return {
        "schema_version": SCHEMA_VERSION,
        "project": f"idd-pipeline {version('idd-pipeline')}",
        "network": sidecars[0]["network"],
        "classes": sidecars[0]["classes"],
        "label_map": list(index.label_map),
        "data": {"name": index.name, "splits": labelled_splits(index)},
        "preprocess": sidecars[0]["preprocess"],
        "student_sha256": sidecars[0]["student_sha256"],
        "forms": [form(sidecar, parity, exported, golden, labels_NHW) for sidecar in sidecars],
        "golden": {"image": "golden/image.png", "labels": "golden/labels.png"},
        "provenance": dict(provenance),
    }


def form(
    sidecar: Mapping[str, Any], parity: Mapping[str, Any], exported: Path, golden: np.ndarray, labels_NHW: np.ndarray
) -> dict[str, Any]:
    """One file: what it takes and gives, its accuracy as it was published, and its golden tolerance."""
    file = sidecar["file"]
    compared = next(row for row in parity["files"] if row["file"] == file)
    return {
        **{name: sidecar[name] for name in ("file", "form", "sha256", "bytes", "input", "output", "opset")},
        "made": sidecar["made"],
        "miou": compared["miou_exported"],
        "miou_torch": compared["miou_torch"],
        "miou_images": compared["miou_images"],
        "miou_split": parity["split"],
        "golden_min_agreement": min_agreement(sidecar["form"], exported / file, golden, labels_NHW),
    }


def listing(folder: Path) -> dict[str, dict[str, Any]]:
    """sha256 and size of every file by its name below the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): {"sha256": sha256(p), "bytes": p.stat().st_size} for p in paths}
