"""Stage `bench` on small artifacts that the real stages before it have made."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from pydantic import ValidationError

from bench import stage as bench
from bench.candidates import TEACHER_ONNX, Bench, entries, export_teacher, openvino_entries
from bench.collect import measure_roofline
from bench.report.overlays import overlays
from export import onnx
from export.deploy.engine_file import description_of
from export.deploy.pairs import pairs_sha256
from export.deployed import Deployed
from export.runtimes.onnx_runtime import OnnxRuntime
from export.runtimes.protocol import GpuTimes
from export.runtimes.torch_runtime import TorchRuntime
from pipeline.facts import facts
from pipeline.identity.keys import config_identity
from pipeline.identity.statcache import StatCache
from pipeline.stage import Context, Outputs
from stages import data, distill, teacher
from stages.datasets.index import read_index
from stages.nets.config import NetConfig
from stages.nets.saved import load_net
from stages.preprocess import Preprocess

RULE = Preprocess(32, 64)
QUICK = bench.Config(
    baseline=True, threads=1, warmup_s=0.05, min_s=0.1, max_s=1.0, repeats=3, roofline=False, peak_memory=False
)
WHOLE = QUICK.model_copy(update={"roofline": True, "peak_memory": True})
BRIEF = {"iterations": 2, "batch": 2, "crop_px": (32, 64), "workers": 0, "evaluate": ("test",)}


class Bar:
    """Counts what a progress bar is told."""

    steps = 0

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        self.steps += 1


def make_context(folder: Path) -> Context:
    """A context whose work and scratch folders lie in `folder`; every bar must come to its total."""

    @contextmanager
    def progress(title: str, total: int, done: int) -> Iterator[Bar]:
        bar = Bar()
        yield bar
        if title == "bench":
            assert bar.steps == total

    def log(line: str) -> None:
        with (folder / "log.txt").open("a", encoding="utf-8") as file:
            print(line, file=file)

    for name in ("work", "scratch"):
        (folder / name).mkdir(parents=True)
    return Context(folder / "work", folder / "scratch", "cpu", {}, log, progress)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Artifacts of every stage before `bench`; export.tensorrt is skipped."""
    root = tmp_path_factory.mktemp("store")
    made: dict[str, Path] = {}
    student = NetConfig(net="pspnet_resnet18", args={"width": 0.125})
    runs = {
        "data": (data, data.Config(size_px=(32, 64), train_images=4, val_images=0, test_images=2)),
        "teacher": (teacher, teacher.Config(net="pspnet_resnet18", args={"width": 0.25}, **BRIEF)),
        "distill": (distill, distill.Config(student=student, method="none", **BRIEF)),
        "baseline": (distill, distill.Config(student=student, method="none", seed=1, **BRIEF)),
        "export.onnx": (onnx, onnx.Config(parity_images=1, forms=("fp32",))),
    }
    for name, (module, config) in runs.items():
        ctx = make_context(root / name)
        module.run(ctx, {stage: made[stage] for stage in module.needs(config)}, config)
        made[name] = ctx.work
    return made


@pytest.fixture(scope="module")
def run(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Outputs, Path]:
    ctx = make_context(tmp_path_factory.mktemp("bench") / "first")
    return bench.run(ctx, inputs, WHOLE), ctx.work


def read(folder: Path, name: str):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_needs_the_baseline_only_where_it_is_reported() -> None:
    assert bench.needs(bench.Config()) == ("data", "teacher", "distill", "export.onnx", "export.tensorrt")
    assert "baseline" in bench.needs(QUICK)


def test_its_key_holds_facts_that_the_machine_tells() -> None:
    assert set(bench.ENVIRONMENT) <= set(facts())
    assert {"gpu_name", "torch", "cores", "device"} <= set(bench.ENVIRONMENT)


def test_fewer_than_three_repeats_are_refused() -> None:
    with pytest.raises(ValidationError, match="repeats"):
        bench.Config(repeats=2)


def test_every_candidate_has_a_row(run: tuple[Outputs, Path], inputs: dict[str, Path]) -> None:
    _, folder = run
    report = read(folder, "report.json")
    rows = {row["name"]: row for row in report["latency"]["rows"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "teacher torch": "ok",
        "student torch": "ok",
        "student torch pipeline": "ok",
        "teacher onnxruntime": "ok",
        "student.fp32.labels onnxruntime": "ok",
        "student.fp32.labels onnxruntime pipeline": "ok",
        "student.fp32.logits onnxruntime": "ok",
        "student tensorrt": "skipped",
    }
    assert all(len(row["rounds_ms"]) == 3 for row in rows.values() if row["status"] == "ok")
    assert rows["student.fp32.labels onnxruntime"]["output"] == "labels"
    scored = read(inputs["export.onnx"], "metrics.json")["test"]["student.fp32.labels.onnx"]
    assert rows["student.fp32.labels onnxruntime"]["miou"] == scored["miou"]
    assert rows["teacher torch"]["miou"] == read(inputs["teacher"], "metrics.json")["test"]["miou"]
    exported_teacher = rows["teacher onnxruntime"]
    assert (exported_teacher["role"], exported_teacher["runtime"]) == ("teacher", "onnxruntime")
    assert (exported_teacher["output"], exported_teacher["miou"]) == ("logits", None)


def test_a_ratio_is_of_two_networks_or_of_two_runtimes(run: tuple[Outputs, Path]) -> None:
    _, folder = run
    ratios = read(folder, "report.json")["latency"]["ratios"]
    pairs = [(ratio["numerator"], ratio["denominator"]) for ratio in ratios]
    assert pairs == [
        ("teacher torch", "student torch"),
        ("teacher torch", "teacher onnxruntime"),
        ("student torch", "student.fp32.labels onnxruntime"),
        ("student torch", "student.fp32.logits onnxruntime"),
        ("student torch pipeline", "student.fp32.labels onnxruntime pipeline"),
        ("teacher onnxruntime", "student.fp32.labels onnxruntime"),
        ("teacher onnxruntime", "student.fp32.logits onnxruntime"),
    ]
    assert all(0 < ratio["low"] <= ratio["ratio"] <= ratio["high"] for ratio in ratios)


def test_every_report_counts_so_that_a_repeated_benchmark_is_kept(run: tuple[Outputs, Path]) -> None:
    outputs, folder = run
    assert {path.name for path in folder.iterdir()} == {"complexity.json", "report.json", "report.md", "report.html"}
    assert not outputs.volatile
    costs = read(folder, "complexity.json")
    assert costs["teacher"]["size"] == [32, 64]
    assert costs["student"]["params_with_aux"] > costs["student"]["params"]


def test_report_has_all_three_models(run: tuple[Outputs, Path]) -> None:
    outputs, folder = run
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "| class | teacher | student without distillation | student with distillation |" in text
    assert "fewer parameters" in text.splitlines()[2]
    assert f"{outputs.summary['student']}." == text.splitlines()[2]


def test_the_report_says_which_pictures_its_accuracy_is_of(run: tuple[Outputs, Path], inputs: dict[str, Path]) -> None:
    told = json.loads((run[1] / "report.json").read_text())["data"]
    pairs = [(s.image_sha256, s.label_sha256 or "") for s in read_index(inputs["data"]).samples("test")]
    assert (told["split"], told["pairs_sha256"]) == ("test", pairs_sha256(reversed(pairs)))


def test_the_report_keeps_to_its_schema(run: tuple[Outputs, Path]) -> None:
    _, folder = run
    schema = json.loads(files("bench.report").joinpath("report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(read(folder, "report.json"), schema)


def test_the_page_shows_what_was_measured(run: tuple[Outputs, Path]) -> None:
    outputs, folder = run
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(half in page for half in str(outputs.summary["student"]).split("; "))
    assert all(f'id="{name}"' in page for name in ("pareto", "size", "classes", "pictures", "latency", "cost", "forms"))


def test_synthetic_pictures_are_shown_and_others_only_when_asked_for(
    run: tuple[Outputs, Path], inputs: dict[str, Path], tmp_path: Path
) -> None:
    _, folder = run
    found = read(folder, "report.json")["pictures"]
    assert {item["rank"] for item in found["items"]} == {"worst", "best"}
    assert set(found["items"][0]["predictions"]) == {"teacher", "baseline", "student"}
    own = shutil.copytree(inputs["data"], tmp_path / "data")
    index = read(own, "index.json")
    (own / "index.json").write_text(json.dumps({**index, "name": "camvid"}), encoding="utf-8")
    ctx = make_context(tmp_path / "bench")
    assert overlays(ctx, {**inputs, "data": own}, "test", wanted=False) is None
    asked = overlays(ctx, {**inputs, "data": own}, "test", wanted=True)
    assert asked is not None
    assert asked["items"] == found["items"]


def test_an_unreadable_exported_file_is_a_failed_row(inputs: dict[str, Path], tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    for path in inputs["export.onnx"].iterdir():
        content = path.read_bytes()
        (export / path.name).write_bytes(content[:100] if path.name == "student.fp32.logits.onnx" else content)
    ctx = make_context(tmp_path / "bench")
    bench.run(ctx, {**inputs, "export.onnx": export}, QUICK)
    rows = {row["name"]: row for row in read(ctx.work, "report.json")["latency"]["rows"]}
    broken = rows["student.fp32.logits onnxruntime"]
    assert broken["status"] == "failed"
    assert "student.fp32.logits.onnx" in broken["why"]
    assert rows["student.fp32.labels onnxruntime"]["status"] == "ok"


def test_the_exported_teacher_gives_what_torch_gives(inputs: dict[str, Path], tmp_path: Path) -> None:
    net, spec = load_net(inputs["teacher"])
    images_NHWC = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3), dtype=np.uint8)

    export_teacher(inputs["teacher"], inputs["export.onnx"], tmp_path / TEACHER_ONNX, (32, 64))

    with (
        OnnxRuntime(tmp_path / TEACHER_ONNX) as exported,
        TorchRuntime(Deployed(net, spec, "logits"), spec, (32, 64)) as reference,
    ):
        assert exported.input.shape == (1, 32, 64, 3)
        np.testing.assert_allclose(exported.predict(images_NHWC), reference.predict(images_NHWC), atol=1e-3)


def test_a_teacher_that_cannot_be_exported_is_a_failed_row(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("no ONNX operator for this\nand a trace")

    monkeypatch.setattr("bench.candidates.export_logits", refuse)
    ctx = make_context(tmp_path)
    bench.run(ctx, inputs, QUICK)
    report = read(ctx.work, "report.json")
    rows = {row["name"]: row for row in report["latency"]["rows"]}
    broken = rows.pop("teacher onnxruntime")
    assert (broken["status"], broken["why"]) == ("failed", "RuntimeError: no ONNX operator for this")
    assert [row["status"] for row in rows.values()] == [*["ok"] * 6, "skipped"]
    named = {name for ratio in report["latency"]["ratios"] for name in (ratio["numerator"], ratio["denominator"])}
    assert named == set(rows) - {"student tensorrt"}


def test_every_measured_row_has_its_share_and_its_memory(run: tuple[Outputs, Path]) -> None:
    _, folder = run
    report = read(folder, "report.json")
    ok = [row for row in report["latency"]["rows"] if row["status"] == "ok"]
    measured = [row for row in ok if row["quantity"] == "inference"]
    found = report["roofline"]
    assert [model["name"] for model in found["models"]] == [row["name"] for row in measured]
    assert all(model["share"] > 0 and 0 <= model["compute_share"] <= 1 for model in found["models"])
    assert found["threads"] == 1 and found["peaks"]["float32"]["gflops"] > 0
    assert all(row["peak_mib"] > 0 for row in measured)
    assert not any("peak_mib" in row for row in ok if row["quantity"] == "pipeline")
    assert all(row["energy_j"] is None or row["energy_j"] > 0 for row in ok)
    assert {"energy", "heat", "cuda", "jetson"} <= set(report["environment"])
    assert "## Roofline" in (folder / "report.md").read_text(encoding="utf-8")


def test_a_roofline_that_cannot_be_measured_is_told_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("bench.collect.measure_roof", refuse)
    assert measure_roofline(make_context(tmp_path), {}, {}, {"cpu": {"threads": 1}}) is None
    assert "roofline not measured: out of memory" in (tmp_path / "log.txt").read_text(encoding="utf-8")


def test_what_was_made_before_roofline_and_memory_stays_current(tmp_path: Path) -> None:
    def counted(config: bench.Config) -> dict[str, object]:
        return config_identity(config, StatCache(tmp_path / "cache.json"), "bench")

    assert not {"roofline", "peak_memory"} & set(counted(bench.Config()))
    assert "roofline" in counted(bench.Config(roofline=False))


def test_a_pipeline_goes_from_a_picture_s_file_and_loads_nothing_of_its_own(run: tuple[Outputs, Path]) -> None:
    _, folder = run
    rows = {row["name"]: row for row in read(folder, "report.json")["latency"]["rows"]}
    for name in ("student torch", "student.fp32.labels onnxruntime"):
        alone, whole = rows[name], rows[f"{name} pipeline"]
        assert (alone["quantity"], whole["quantity"]) == ("inference", "pipeline")
        assert alone["load_ms"] > 0 and whole["load_ms"] is None
        assert whole["statistics"]["min_ms"] > alone["statistics"]["min_ms"]


def test_further_batches_and_sizes_are_tables_of_their_own(inputs: dict[str, Path], tmp_path: Path) -> None:
    """The exported files are fixed to one image of 32 x 64; torch takes any."""
    ctx = make_context(tmp_path)
    bench.run(ctx, inputs, QUICK.model_copy(update={"batches": (1, 2), "sizes": ((32, 64), (64, 64))}))
    report = read(ctx.work, "report.json")
    tables = {(table["batch"], *table["size_px"]): table for table in report["latency"]["more"]}
    assert set(tables) == {(1, 64, 64), (2, 32, 64), (2, 64, 64)}
    rows = {row["name"]: row for row in tables[2, 32, 64]["rows"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "teacher torch": "ok",
        "student torch": "ok",
        "teacher onnxruntime": "skipped",
        "student.fp32.labels onnxruntime": "skipped",
        "student.fp32.logits onnxruntime": "skipped",
        "student tensorrt": "skipped",
    }
    assert rows["student.fp32.labels onnxruntime"]["why"].startswith("made for 1 x 32 x 64 x 3")
    assert all(row["miou"] is None for row in rows.values())
    schema = json.loads(files("bench.report").joinpath("report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, schema)
    assert "Batch 2 at 64x64" in (ctx.work / "report.md").read_text(encoding="utf-8")
    assert "batch 2 at 64x64" in (ctx.work / "report.html").read_text(encoding="utf-8")


def test_openvino_has_every_exported_file(inputs: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    ctx = make_context(tmp_path)
    bench.run(ctx, inputs, QUICK.model_copy(update={"runtimes": ("openvino",)}))
    rows = {row["name"]: row for row in read(ctx.work, "report.json")["latency"]["rows"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "student.fp32.labels openvino": "ok",
        "student.fp32.labels openvino pipeline": "ok",
        "student.fp32.logits openvino": "ok",
        "student tensorrt": "skipped",
    }
    # The file was scored in onnxruntime.
    assert rows["student.fp32.labels openvino"]["miou"] is None


def test_without_openvino_there_is_a_row_that_says_how_to_get_it() -> None:
    made = Bench(np.zeros((1, 2, 2, 3), np.uint8), "cpu", 1, ExitStack(), {"openvino": None}, None, RULE)
    (row,) = openvino_entries(Path("nowhere"), made)
    assert row.why == "openvino is not installed: pip install openvino"


class FakeEngine:
    """Stands for a GPU: 2 ms of compute, 1.9 ms of queueing, copies of 1.5 ms each."""

    name = "TensorRT on nothing"

    def __init__(self, plan: Path, batch: int) -> None:
        assert (plan.name, batch) == ("student.fp16.labels.plan", 1)

    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        return self.timed(images_NHWC)[0]

    def timed(self, images_NHWC: np.ndarray) -> tuple[np.ndarray, GpuTimes]:
        return np.zeros(images_NHWC.shape[:3], np.uint8), GpuTimes(2.0, 1.9, 1.5, 1.5)

    def close(self) -> None:
        """Nothing is open."""


def engine_folder(folder: Path) -> Path:
    """An artifact of export.tensorrt with one engine that is none."""
    folder.mkdir()
    plan = folder / "student.fp16.labels.plan"
    plan.write_bytes(b"engine")
    described = {
        "sha256": "a" * 64,
        "onnx": {"file": "student.fp16.labels.onnx"},
        "tensorrt": "10.3.0",
        "gpu": {"name": "Orin"},
        "input": {"name": "images", "dtype": "uint8", "shape": [-1, 32, 64, 3]},
        "output": {"name": "labels", "dtype": "uint8", "shape": [-1, 32, 64]},
    }
    description_of(plan).write_text(json.dumps(described), encoding="utf-8")
    return folder


def test_an_engine_is_measured_where_there_is_a_gpu(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.candidates.TensorRTRuntime", FakeEngine)
    monkeypatch.setattr("bench.candidates.lacks_tensorrt", lambda facts: None)
    ctx = make_context(tmp_path / "bench")
    built = {**inputs, "export.tensorrt": engine_folder(tmp_path / "engines")}
    bench.run(ctx, built, QUICK.model_copy(update={"runtimes": ()}))
    report = read(ctx.work, "report.json")
    alone, whole = report["latency"]["rows"]
    assert (alone["name"], alone["status"], alone["output"]) == ("student.fp16.labels tensorrt", "ok", "labels")
    assert (alone["compute_ms"]["p50_ms"], alone["to_device_ms"]["n"]) == (2.0, 100)
    assert any("queueing takes 1.9 ms" in note for note in alone["warnings"])
    assert any("copies take 3 ms" in note for note in alone["warnings"])
    assert (whole["quantity"], whole["status"]) == ("pipeline", "ok")
    schema = json.loads(files("bench.report").joinpath("report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, schema)


def test_an_engine_that_does_not_tell_its_own_times_keeps_its_latency(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Untold(FakeEngine):
        def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
            return np.zeros(images_NHWC.shape[:3], np.uint8)

        def timed(self, images_NHWC: np.ndarray) -> tuple[np.ndarray, GpuTimes]:
            raise RuntimeError("an event that never was recorded")

    monkeypatch.setattr("bench.candidates.TensorRTRuntime", Untold)
    monkeypatch.setattr("bench.candidates.lacks_tensorrt", lambda facts: None)
    ctx = make_context(tmp_path / "bench")
    built = {**inputs, "export.tensorrt": engine_folder(tmp_path / "engines")}
    bench.run(ctx, built, QUICK.model_copy(update={"runtimes": ()}))
    alone, whole = read(ctx.work, "report.json")["latency"]["rows"]
    assert (alone["status"], "compute_ms" in alone, whole["status"]) == ("ok", False, "ok")
    assert "the GPU's own times are missing: RuntimeError: an event that never was recorded" in alone["warnings"]


def test_an_engine_is_skipped_with_the_reason_where_there_is_none(inputs: dict[str, Path], tmp_path: Path) -> None:
    built = {**inputs, "export.tensorrt": engine_folder(tmp_path / "engines")}
    facts_without = {"gpu": False, "tensorrt": None, "openvino": None}
    made = Bench(np.zeros((1, 32, 64, 3), np.uint8), "cpu", 1, ExitStack(), facts_without, None, RULE)
    (row,) = entries(built, (), False, made)
    assert (row.name, row.candidate) == ("student.fp16.labels tensorrt", None)
    assert row.why == "no NVIDIA GPU, build it on the target"


@pytest.mark.slow
def test_compiled_networks_are_rows_whose_load_is_the_compilation(inputs: dict[str, Path], tmp_path: Path) -> None:
    ctx = make_context(tmp_path)
    bench.run(ctx, inputs, QUICK.model_copy(update={"runtimes": ("torch",), "compiled": True}))
    rows = {row["name"]: row for row in read(ctx.work, "report.json")["latency"]["rows"]}
    compiled, eager = rows["student torch compiled"], rows["student torch"]
    assert (compiled["status"], compiled["runtime"]) == ("ok", "torch-compiled")
    assert compiled["load_ms"] > eager["load_ms"]
    assert compiled["miou"] == eager["miou"]


def test_torch_alone(inputs: dict[str, Path], tmp_path: Path) -> None:
    ctx = make_context(tmp_path)
    bench.run(ctx, inputs, QUICK.model_copy(update={"runtimes": ("torch",)}))
    rows = read(ctx.work, "report.json")["latency"]["rows"]
    assert [row["name"] for row in rows] == [
        "teacher torch",
        "student torch",
        "student torch pipeline",
        "student tensorrt",
    ]
    assert read(ctx.work, "report.json")["roofline"] is None
    assert not any("peak_mib" in row for row in rows)
