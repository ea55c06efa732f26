"""The program on small files: rows that stand beside failed and skipped ones, exit codes, the last line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.latency.command import main
from bench.machine.memory import STATUS
from stages.nets.catalogue import NORMALISATIONS, NetSpec, build
from stages.nets.saved import save_net
from stages.preprocess import Preprocess

Make = Callable[..., Path]
QUICK = [*("--min-s", "0.02", "--max-s", "1", "--warmup-s", "0.02"), *("--min-samples", "6", "--repeats", "6")]
IMAGE = ("FLOAT", [1, 3, 8, 16])


@pytest.fixture
def measure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """`measure(*arguments)`: exit code, the document of the last line, and all that was printed; without memory unless
    that is asked for, since it takes seconds."""

    def run(*arguments: object, memory: bool = False) -> tuple[int, dict[str, Any], str]:
        common = [*QUICK, "--threads", "1", "--home", str(tmp_path / "home"), *([] if memory else ["--no-memory"])]
        code = main([*map(str, arguments), *common])
        printed = capsys.readouterr()
        return code, json.loads(printed.out.splitlines()[-1]) if code < 2 else {}, printed.out + printed.err

    return run


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["status"] for row in document["latency"]["rows"]}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network's folder, as a stage leaves it."""
    folder = tmp_path_factory.mktemp("distill")
    torch.manual_seed(0)
    spec = NetSpec("pspnet_resnet18", 3, {"width": 0.125}, *NORMALISATIONS["imagenet"])
    net = build(spec.net, spec.classes, **spec.args)
    net.aux_head = None
    save_net(folder, net.eval(), spec)
    (folder / "preprocess.json").write_text(json.dumps(Preprocess(32, 64).to_json()))
    return folder


def test_a_foreign_file_in_every_runtime_of_a_cpu(measure: Callable, make_onnx: Make, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path, out = make_onnx("own.onnx", x=IMAGE), tmp_path / "latency.json"
    runtimes = ("--runtime", "onnxruntime", "--runtime", "openvino")
    code, document, printed = measure(path, *runtimes, "--out", out)
    assert (code, statuses(document)) == (0, {"own onnxruntime": "ok", "own openvino": "ok"})
    row = document["latency"]["rows"][0]
    assert (row["device"], row["quantity"], row["batch"]) == ("cpu", "inference", 1)
    assert row["inputs"] == {"x": [1, 3, 8, 16]}
    assert len(row["rounds_ms"]) == 6 and row["statistics"]["n"] == sum(map(len, row["rounds_ms"]))
    assert row["version"].startswith("onnxruntime ") and len(row["sha256"]) == 64
    (ratio,) = document["latency"]["ratios"]
    assert (ratio["numerator"], ratio["denominator"]) == ("own onnxruntime", "own openvino")
    assert ratio["confidence"] > 0.95
    assert json.loads(out.read_text()) == document
    assert "own openvino against own onnxruntime" in printed
    assert (document["kind"], document["latency"]["settings"]["threads"]) == ("latency", 1)


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells the peak")
def test_each_inference_has_its_peak_memory(measure: Callable, make_onnx: Make, network: Path) -> None:
    """Of a file with two inputs, the second an index, and of a trained network, whose way from a picture has none."""
    path = make_onnx("own.onnx", x=("FLOAT", ["n", 3, 512, 1024]), index=("INT64", ["n"]))
    asked = (path, network, "--runtime", "onnxruntime", "--runtime", "torch", "--device", "cpu", "--end-to-end")
    code, document, printed = measure(*asked, memory=True)
    rows = [row for row in document["latency"]["rows"] if row["status"] == "ok"]
    found = {(row["runtime"], row["quantity"]): row["peak_mib"] for row in rows}
    whole = found.pop(("torch", "pipeline"))
    assert code == 0 and whole is None and found.keys() == {("onnxruntime", "inference"), ("torch", "inference")}
    # The result of the file is as large as its input: 6 MiB.
    assert 6 <= found["onnxruntime", "inference"] < 100 and 1 < found["torch", "inference"] < 1000
    assert printed.splitlines()[0].endswith("peak MiB")
    code, document, _ = measure(path, "--runtime", "onnxruntime")
    assert [row["peak_mib"] for row in document["latency"]["rows"]] == [None]


def test_batches_and_sizes_are_rows_of_their_own(measure: Callable, make_onnx: Make) -> None:
    path = make_onnx("own.onnx", x=("FLOAT", ["n", 3, "h", "w"]))
    shapes = ["--batch", "1", "--batch", "2", "--size", "8x8", "--size", "8x16"]
    code, document, _ = measure(path, "--runtime", "onnxruntime", *shapes)
    assert (code, set(statuses(document).values())) == (0, {"ok"})
    inputs = [row["inputs"]["x"] for row in document["latency"]["rows"]]
    assert inputs == [[1, 3, 8, 8], [1, 3, 8, 16], [2, 3, 8, 8], [2, 3, 8, 16]]


def test_what_cannot_be_measured_is_a_row_and_the_others_stand(
    measure: Callable, make_onnx: Make, tmp_path: Path
) -> None:
    good, fixed = make_onnx("good.onnx", x=("FLOAT", ["n", 3, 8, 8])), make_onnx("fixed.onnx", x=IMAGE)
    (tmp_path / "junk.onnx").write_bytes(b"no network")
    asked = (good, fixed, tmp_path / "junk.onnx", "distil", "distill", tmp_path / "absent.plan")
    code, document, printed = measure(*asked, "--runtime", "onnxruntime", "--batch", "2")
    assert code == 1
    why = {row["name"]: row["why"] for row in document["latency"]["rows"] if row["status"] == "failed"}
    assert statuses(document)["good onnxruntime batch 2"] == "ok"
    assert "has 1 on axis 0 for good, not 2" in why["fixed onnxruntime batch 2"]
    assert "is no ONNX file" in why["junk onnxruntime batch 2"]
    assert "did you mean 'distill'" in why["distil"]
    assert "distill has no artifact" in why["distill"]
    assert "no file" in why[str(tmp_path / "absent.plan")]
    assert "good onnxruntime batch 2" in printed


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
def test_a_missing_runtime_is_skipped_and_failed_where_it_was_asked_for(measure: Callable, make_onnx: Make) -> None:
    path = make_onnx("own.onnx", x=IMAGE)
    code, document, _ = measure(path)
    assert (code, statuses(document)["own onnxruntime-cuda"]) == (0, "skipped")
    code, document, _ = measure(path, "--runtime", "onnxruntime-cuda", "--runtime", "onnxruntime")
    assert (code, statuses(document)["own onnxruntime-cuda"]) == (1, "failed")
    assert statuses(document)["own onnxruntime"] == "ok"


def test_a_runtime_for_other_files_is_skipped_and_a_model_without_figures_is_code_1(
    measure: Callable, make_onnx: Make
) -> None:
    path = make_onnx("own.onnx", x=IMAGE)
    code, document, _ = measure(path, "--runtime", "onnxruntime", "--runtime", "tensorrt")
    assert (code, statuses(document)["own tensorrt"]) == (0, "skipped")
    code, document, printed = measure(path, "--runtime", "tensorrt")
    assert code == 1
    assert "tensorrt runs a TensorRT engine, this is an ONNX file" in printed


def test_a_trained_network_from_a_picture_to_labels(measure: Callable, network: Path, tmp_path: Path) -> None:
    from PIL import Image

    picture = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(picture)
    code, document, _ = measure(network, "--runtime", "torch", "--picture", picture, "--device", "cpu")
    alone, whole = document["latency"]["rows"]
    assert (code, alone["status"], whole["status"]) == (0, "ok", "ok")
    assert (alone["quantity"], whole["quantity"], whole["load_ms"]) == ("inference", "pipeline", None)
    assert alone["inputs"] == {"images": [1, 32, 64, 3]}
    assert document["latency"]["ratios"] == []


def test_end_to_end_is_skipped_where_no_rule_is_known(measure: Callable, make_onnx: Make) -> None:
    path = make_onnx("own.onnx", x=IMAGE)
    code, document, printed = measure(path, "--runtime", "onnxruntime", "--end-to-end")
    assert (code, statuses(document)["own onnxruntime pipeline"]) == (0, "skipped")
    assert "nothing beside the model says how a picture becomes its input" in printed


def test_an_axis_that_no_model_has_is_a_mistake(measure: Callable, make_onnx: Make) -> None:
    path = make_onnx("own.onnx", x=("FLOAT", ["n", "length"]))
    code, _, printed = measure(path, "--runtime", "onnxruntime", "--dim", "lenght=4")
    assert code == 2 and "no MODEL has a free axis of that name; did you mean 'length'" in printed
    assert measure(path, "--runtime", "onnxruntime", "--dim", "length=4")[0] == 0


def test_the_document_alone_and_an_unwritable_file_after_it(
    measure: Callable, make_onnx: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, full = make_onnx("own.onnx", x=IMAGE), PermissionError(13, "Permission denied", "latency.json")

    def refuse(*_: object, **__: object) -> None:
        raise full

    monkeypatch.setattr(Path, "write_text", refuse)
    arguments = (path, "--runtime", "onnxruntime", "--json", "--out", tmp_path / "latency.json")
    code, _, printed = measure(*arguments)
    document, told = printed.splitlines()
    assert (code, json.loads(document)["latency"]["rows"][0]["status"]) == (2, "ok")
    assert told.startswith("error: latency.json: Permission denied")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with a C++ compiler")
def test_compilation_is_load_time(measure: Callable, network: Path) -> None:
    runtimes = ("--runtime", "torch", "--runtime", "torch-compiled")
    code, document, _ = measure(network, *runtimes, "--device", "cpu")
    eager, compiled = document["latency"]["rows"]
    assert (code, compiled["status"]) == (0, "ok")
    assert compiled["load_ms"] > 1000 > compiled["first_ms"]
    assert compiled["version"].endswith("compiled")
    assert eager["load_ms"] < compiled["load_ms"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give a MODEL or more, or --self-check alone"),
        (["--self-check", "a.onnx"], "give a MODEL or more, or --self-check alone"),
        (["a.onnx", "--size", "8"], "HEIGHTxWIDTH"),
        (["a.onnx", "--dim", "length"], "NAME=SIZE"),
        (["a.onnx", "--runtime", "caffe"], "onnxruntime"),
        (["a.onnx", "--out", "absent/latency.json"], "no folder"),
        (["a.onnx", "--recipe", "absent"], "no recipe 'absent'"),
        (["a.onnx", "--picture", __file__], "cannot be read as a picture"),
    ],
)
def test_a_mistake_in_the_command_line_is_one_line_and_code_2(
    measure: Callable, arguments: list[str], told: str
) -> None:
    code, _, printed = measure(*arguments)
    assert code == 2
    (line,) = printed.splitlines()
    assert line.startswith("error: ") and told in line
