"""The bundle as a board uses it: its own programs in a process that has neither torch nor this project on its path."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.bundle import PROGRAMS, TRAVELS, write_bundle
from export.extras import trtexec
from export.scored import labelled_splits
from pipeline.errors import StoreError
from stages.datasets.index import read_index
from stages.preprocess import Preprocess, fit, read_image

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {"numpy", "PIL", "cv2", "onnxruntime", "tensorrt", "pycuda", "pipeline", "stages", "export", "bench"}
"""What the programs may import beside Python's own modules."""
ABSENT = ("torch", "onnx", "pydantic", "click", "rich", "safetensors", "matplotlib")
"""What a board does not have."""


@pytest.fixture(scope="module")
def made(forms_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of every form."""
    out = tmp_path_factory.mktemp("bundle") / "board"
    write_bundle(forms_folder, data_folder, out, triton=True, provenance={"export.onnx": {"digest": "d"}})
    return out


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "board"))


def run(bundle: Path, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A program of the bundle, without this project's folder on the path and with imports of torch forbidden."""
    guard = (
        "import runpy, sys\n"
        f"sys.path[:] = [p for p in sys.path if p not in ('', {str(ROOT)!r})]\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        f"for name in {[*ABSENT, *([] if arguments and str(arguments[0]).endswith('.avi') else ['cv2'])]!r}:\n"
        "    sys.modules[name] = None\n"
        f"sys.argv = {[program, *map(str, arguments)]!r}\n"
        f"runpy.run_path({str(bundle / program)!r}, run_name='__main__')\n"
    )
    command = [sys.executable, "-c", guard]
    return subprocess.run(command, cwd=bundle.parent, capture_output=True, text=True, timeout=300)


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr and all(part in line for part in parts), line


def last_line(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_pictures_become_labels_and_overlays(bundle: Path, data_folder: Path, tmp_path: Path) -> None:
    images = data_folder / "images" / "test"
    done = run(bundle, "infer.py", images, "--overlay", tmp_path / "over", "--labels", tmp_path / "ids")
    assert last_line(done)["images"] == 5
    for picture in images.iterdir():
        ids = np.asarray(Image.open(tmp_path / "ids" / picture.name))
        assert ids.shape == read_image(picture).shape[:2] and ids.dtype == np.uint8
        assert read_image(tmp_path / "over" / picture.name).shape == read_image(picture).shape


def test_a_jpeg_of_another_size_comes_back_at_its_own(bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (71, 133, 3), dtype=np.uint8)).save(picture)
    last_line(run(bundle, "infer.py", picture, "--labels", tmp_path / "ids"))
    with Image.open(tmp_path / "ids" / "photo.png") as ids:
        assert ids.size == (133, 71)


def test_a_video_is_read_frame_by_frame(bundle: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV, which only videos need, is not installed")
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (96, 48))
    for shade in (0, 90, 200):
        film.write(np.full((48, 96, 3), shade, np.uint8))
    film.release()
    found = last_line(run(bundle, "infer.py", tmp_path / "film.avi", "--labels", tmp_path / "ids"))
    assert found["images"] == 3 and len(list((tmp_path / "ids").iterdir())) == 3


def test_the_board_scores_what_the_gate_scored(bundle: Path, data_folder: Path) -> None:
    folders = data_folder / "images" / "test", data_folder / "labels" / "test"
    for form in ("fp32", "int8-cpu"):
        found = last_line(run(bundle, "evaluate.py", *folders, "--form", form))
        manifest = json.loads((bundle / "manifest.json").read_text())
        entry = next(e for e in manifest["forms"] if e["file"] == found["file"])
        assert found["miou"] == pytest.approx(entry["miou"], abs=1e-9) and found["sha256"] == entry["sha256"]
        assert (found["data"], found["split"], found["images"]) == ("synthetic", "test", 5)
        assert found["pairs_sha256"] == labelled_splits(read_index(data_folder))["test"]["pairs_sha256"]
    assert len(json.loads((bundle / "accuracy.json").read_text())) == 2


def test_the_pairs_count_and_not_their_names(bundle: Path, data_folder: Path, tmp_path: Path) -> None:
    images, labels = (Path(shutil.copytree(data_folder / top / "test", tmp_path / top)) for top in ("images", "labels"))
    for folder in (images, labels):
        for path in folder.iterdir():
            path.rename(path.with_name(f"renamed_{path.name}"))
    assert last_line(run(bundle, "evaluate.py", images, labels, "--form", "fp32"))["split"] == "test"
    next(iter(images.iterdir())).unlink()
    done = run(bundle, "evaluate.py", images, labels, "--form", "fp32")
    found = last_line(done)
    assert (found["data"], found["split"], found["images"]) == (None, None, 4)
    assert "no split of synthetic, which has train (4), test (5): this mIoU stands beside none of theirs" in done.stderr


def test_pixels_that_are_no_class_and_pictures_in_subfolders_are_told(
    bundle: Path, data_folder: Path, tmp_path: Path
) -> None:
    images, labels = (Path(shutil.copytree(data_folder / top / "test", tmp_path / top)) for top in ("images", "labels"))
    (images / "more").mkdir()
    first, *others = sorted(labels.iterdir())
    for path in others:
        (images / path.name).rename(images / "more" / path.name)
    with Image.open(first) as label:
        ids_HW = np.array(label)
    ids_HW[0, :7], ids_HW[1, :5] = 200, 255
    Image.fromarray(ids_HW).save(first)
    done = run(bundle, "evaluate.py", images, labels, "--form", "fp32")
    found = last_line(done)
    assert found["unscored_pixels_by_id"] == {"200": 7, "255": 5} and found["images"] == 1
    assert "% of the pixels are not scored, their ids stand for no class of the network: 200 (7 pixels)" in done.stderr
    assert f"warning: {len(others)} pictures in subfolders of" in done.stderr
    assert_one_line(run(bundle, "evaluate.py", tmp_path, labels), "holds no pictures", "in its subfolders: give one")


def test_the_benchmark_says_which_accuracy_belongs_to_which_file(bundle: Path, data_folder: Path) -> None:
    run(bundle, "evaluate.py", data_folder / "images" / "test", data_folder / "labels" / "test", "--form", "fp32")
    out = bundle / "report.json"
    timing = ("--min-s", "0.05", "--max-s", "0.1")
    last_line(run(bundle, "benchmark.py", *timing, "--form", "fp32", "--form", "fp16", "--out", out))
    report = json.loads(out.read_text())
    rows = {(row["file"], row["quantity"]): row for row in report["latency"]["rows"]}
    scored = rows["student.fp32.labels.onnx", "inference"]
    assert scored["status"] == "ok" and scored["accuracy"]["miou_images"] == 5
    assert scored["accuracy"]["split"] == "test" and len(scored["accuracy"]["pairs_sha256"]) == 64
    assert report["bundle"]["classes"] == [label.name for label in read_index(data_folder).classes]
    assert "not measured" in rows["student.fp16.labels.onnx", "pipeline"]["accuracy"]
    assert report["engines"] == [] and report["latency"]["ratios"]
    assert scored["peak_mib"] > 0 and rows["student.fp32.labels.onnx", "pipeline"]["peak_mib"] is None
    assert set(report["environment"]) >= {"energy", "heat", "jetson", "cuda"}


def test_the_preprocessing_is_the_same_file_and_gives_the_same_bytes(bundle: Path, data_folder: Path) -> None:
    copy = bundle / "lib" / "stages" / "preprocess.py"
    assert copy.read_bytes() == (ROOT / "stages" / "preprocess.py").read_bytes()
    picture = next((data_folder / "images" / "test").iterdir())
    code = (
        f"import sys; sys.path.insert(0, {str(bundle / 'lib')!r})\n"
        "from pathlib import Path\n"
        "from stages.preprocess import Preprocess, fit, read_image\n"
        f"sys.stdout.buffer.write(fit(read_image(Path({str(picture)!r})), Preprocess(33, 65)).tobytes())"
    )
    there = subprocess.run([sys.executable, "-c", code], cwd=bundle, capture_output=True, check=True).stdout
    assert there == fit(read_image(picture), Preprocess(33, 65)).tobytes()


@pytest.mark.parametrize("program", [f"{name}.py" for name in PROGRAMS])
def test_a_tampered_file_stops_every_program(bundle: Path, program: str, data_folder: Path) -> None:
    path = bundle / "student.fp32.labels.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    images = data_folder / "images" / "test"
    needed = {"infer.py": [images, "--overlay", "out"], "evaluate.py": [images, images]}.get(program, [])
    assert_one_line(run(bundle, program, *needed), "student.fp32.labels.onnx", "copy it again")


@pytest.mark.parametrize(
    ("program", "arguments", "parts"),
    [
        ("infer.py", ("nowhere.png", "--overlay", "out"), ("nowhere.png",)),
        ("infer.py", (".",), ("give --overlay OUT",)),
        ("infer.py", (".", "--overlay", "out"), ("holds no pictures",)),
        ("infer.py", (".", "--overlay", "out", "--form", "int4"), ("no form int4", "fp16 labels")),
        ("infer.py", (".", "--overlay", "out", "--runtime", "tensorrt"), ("no engine", "build_engine.py")),
        ("evaluate.py", ("nowhere", "nowhere"), ("no folder nowhere",)),
        ("build_engine.py", (), ("tensorrt cannot be imported",)),
        ("benchmark.py", ("--runtime", "tensorrt"), ("nothing to measure",)),
    ],
)
def test_mistakes_are_one_line(bundle: Path, program: str, arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    assert_one_line(run(bundle, program, *arguments), *parts)


def test_the_programs_import_nothing_that_a_board_lacks() -> None:
    for name in TRAVELS:
        for path in [ROOT / name] if name.endswith(".py") else (ROOT / name).glob("*.py"):
            tree = ast.parse(path.read_text(), feature_version=(3, 10))
            names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
            names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
            foreign = {name.partition(".")[0] for name in names} - ALLOWED - set(sys.stdlib_module_names)
            assert not foreign, (path, foreign)


def test_the_programs_run_on_python_3_10(made: Path) -> None:
    vermin = pytest.importorskip("vermin", reason="vermin, which knows when Python got what, is not installed")
    config = vermin.Config()
    config.add_backport("typing")
    for path in sorted([*(made / "lib").rglob("*.py"), *made.glob("*.py")]):
        visitor = vermin.visit(path.read_text(), config)
        needed = max((v for v in visitor.minimum_versions() if v and v[0] == 3), default=(3, 0))
        assert needed <= (3, 10), (path, needed, visitor.output_text())


def test_a_bundle_never_overwrites(made: Path, forms_folder: Path, data_folder: Path) -> None:
    with pytest.raises(StoreError, match="is not empty"):
        write_bundle(forms_folder, data_folder, made, triton=False, provenance={})


def test_triton_and_trtexec_know_the_files(made: Path) -> None:
    config = (made / "triton" / "student_fp16_labels" / "config.pbtxt").read_text()
    assert 'name: "images", data_type: TYPE_UINT8, dims: [1, 48, 96, 3]' in config
    assert (made / "triton" / "student_fp16_labels" / "1" / "model.onnx").is_file()
    form = {"file": "a.onnx", "form": "fp16", "input": {"name": "images", "shape": ["batch", 8, 8, 3]}}
    command = trtexec(form)
    assert command is not None and "--maxShapes=images:4x8x8x3" in command and "--fp16" not in command
    assert trtexec({**form, "form": "int8-cpu"}) is None


def test_the_golden_labels_are_those_of_fp32(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    tolerances = {e["form"]: e["golden_min_agreement"] for e in manifest["forms"]}
    assert tolerances["fp32"] == 0.998 and 0.5 < tolerances["int8-cpu"] < 0.95 + 1e-9
    assert set(manifest["files"]) >= {"golden/image.png", "golden/labels.png", "README.md", "build_engine.py"}


def test_a_file_among_the_sources_that_does_not_belong_there_is_not_run(bundle: Path) -> None:
    (bundle / "lib" / "json.py").write_text("raise SystemExit('run')\n")
    assert_one_line(run(bundle, "benchmark.py"), "lib/json.py", "copy it again")


def test_a_changed_manifest_is_noticed(bundle: Path) -> None:
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace('"fp16"', '"fp32"'))
    assert_one_line(run(bundle, "benchmark.py"), "manifest.json", "was changed")
