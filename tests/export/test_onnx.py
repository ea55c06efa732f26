"""Stage `export.onnx` on a small student."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_library
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from pydantic import ValidationError

from export import card, onnx
from export.deployed import Deployed
from export.onnx_graph import export_logits, labels_from_logits
from export.runtimes.onnx_runtime import OnnxRuntime
from export.student import load_student
from pipeline.errors import DataError, ParityError
from pipeline.stage import Context
from stages.nets.catalogue import NORMALISATIONS, NetSpec, build
from stages.preprocess import Preprocess, Resize, fit, read_image

ROOT = Path(__file__).resolve().parents[2]
FILES = ("student.fp32.labels.onnx", "student.fp32.logits.onnx")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_it_publishes_files_sidecars_contract_and_card(onnx_folder: Path) -> None:
    assert {path.name for path in onnx_folder.iterdir()} == {
        *FILES,
        *(f"{name}.json" for name in FILES),
        "README.md",
        "labels.json",
        "metrics.json",
        "parity.json",
        "preprocess.json",
    }


def test_a_sidecar_describes_its_file(onnx_folder: Path, student_folder: Path) -> None:
    path = onnx_folder / FILES[0]
    sidecar = read_json(onnx_folder / f"{FILES[0]}.json")

    assert sidecar["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sidecar["bytes"] == path.stat().st_size
    assert sidecar["input"] == {"name": "images", "dtype": "uint8", "shape": [1, 48, 96, 3]}
    assert sidecar["output"] == {"name": "labels", "dtype": "uint8", "shape": [1, 48, 96]}
    assert (sidecar["opset"], sidecar["ir_version"]) == (19, 10)
    assert sidecar["preprocess"] == read_json(student_folder / "preprocess.json")
    assert sidecar["classes"] == read_json(student_folder / "labels.json")
    weights = (student_folder / "model.safetensors").read_bytes()
    assert sidecar["student_sha256"] == hashlib.sha256(weights).hexdigest()


def test_the_file_alone_says_what_it_is(onnx_folder: Path, student_folder: Path) -> None:
    model = onnx_library.load(onnx_folder / FILES[1])
    told = {prop.key: prop.value for prop in model.metadata_props}

    assert json.loads(told["classes"]) == read_json(student_folder / "labels.json")
    assert json.loads(told["preprocess"]) == read_json(student_folder / "preprocess.json")
    assert json.loads(told["preprocess"])["interpolation"] == "Pillow BILINEAR"
    assert json.loads(told["network"])["mean"] == [0.485, 0.456, 0.406]
    assert told["student_sha256"] == read_json(onnx_folder / f"{FILES[1]}.json")["student_sha256"]


def test_the_graph_is_small_and_transposes_no_uint8(onnx_folder: Path) -> None:
    counts = {name: read_json(onnx_folder / f"{name}.json")["nodes"] for name in FILES}
    assert counts == {"student.fp32.labels.onnx": 82, "student.fp32.logits.onnx": 80}

    nodes = onnx_library.load(onnx_folder / FILES[0]).graph.node
    assert [node.op_type for node in nodes[:2]] == ["Cast", "Transpose"]
    assert [node.op_type for node in nodes[-2:]] == ["ArgMax", "Cast"]


def test_no_path_of_this_machine_is_in_the_files(onnx_folder: Path) -> None:
    for name in FILES:
        content = (onnx_folder / name).read_bytes()
        for path in (ROOT, Path.home(), Path(torch.__file__).parent):
            assert str(path).encode() not in content
        assert not re.search(rb"\.py\b", content)


def test_another_folder_gives_the_same_bytes(onnx_folder: Path, student_folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for package in ("pipeline", "stages", "export"):
        shutil.copytree(ROOT / package, elsewhere / package)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from export.onnx_graph import export_logits, labels_from_logits, serialise\n"
        "from export.student import load_student\n"
        "assert Path(load_student.__code__.co_filename).is_relative_to(Path.cwd())\n"
        "student = load_student(Path(sys.argv[1]))\n"
        "logits = export_logits(student.deployed('logits'), student.size_px, 1, 19)\n"
        "metadata = {'form': 'fp32', **student.description()}\n"
        "Path('labels.onnx').write_bytes(serialise(labels_from_logits(logits), metadata))\n"
        "Path('logits.onnx').write_bytes(serialise(logits, metadata))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(student_folder)], cwd=elsewhere, check=True)

    assert (elsewhere / "labels.onnx").read_bytes() == (onnx_folder / FILES[0]).read_bytes()
    assert (elsewhere / "logits.onnx").read_bytes() == (onnx_folder / FILES[1]).read_bytes()


def test_parity_is_written_down(onnx_folder: Path) -> None:
    parity = read_json(onnx_folder / "parity.json")
    labels, logits = parity["files"]

    assert (parity["split"], labels["images"], labels["miou_images"]) == ("test", 5, 5)
    assert labels["pixels"] == 5 * 48 * 96
    assert labels["violations"] == logits["violations"] == 0
    assert labels["max_abs_logit_error"] is None
    assert 0 < logits["max_abs_logit_error"] < 1e-3
    assert 1 < logits["logit_span"] < 100
    assert 0 < logits["mean_abs_logit_error"] < logits["max_abs_logit_error"]
    scores = read_json(onnx_folder / "metrics.json")["test"]
    assert scores["torch"]["miou"] == labels["miou_torch"]
    assert scores[FILES[0]]["miou"] == labels["miou_exported"]


def test_the_cards_code_runs(
    onnx_folder: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(onnx_folder / FILES[0], tmp_path)
    picture = next((data_folder / "images" / "test").iterdir())
    image = Image.open(picture)
    image.save(tmp_path / "picture.jpg", quality=95)
    card = (onnx_folder / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code and len(code[1].splitlines()) == 6
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    exec(compile(code[1], "README.md", "exec"), names)

    with OnnxRuntime(tmp_path / FILES[0]) as runtime:
        wanted = runtime.predict(np.asarray(Image.open("picture.jpg"))[None])[0]
    assert np.array_equal(names["labels"], wanted)


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize("original_hw", [(33, 50), (7, 13), (101, 37), (48, 96)])
def test_the_cards_code_is_the_contract(
    resize: Resize, original_hw: tuple[int, int], onnx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(onnx_folder / FILES[0], tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (*original_hw, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.jpg", quality=95)
    pre = Preprocess(48, 96, resize)
    code = "\n".join(card.usage(pre, read_json(onnx_folder / f"{FILES[0]}.json")))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    exec(compile(code, "README.md", "exec"), names)

    fitted = fit(read_image(tmp_path / "picture.jpg"), pre)
    assert np.array_equal(np.asarray(names["fitted"]), fitted)
    with OnnxRuntime(tmp_path / FILES[0]) as runtime:
        assert np.array_equal(names["labels"], runtime.predict(fitted[None])[0])


def broken(model: onnx_library.ModelProto) -> onnx_library.ModelProto:
    """A copy of which one weight is off: the largest kernel's first value, by one."""
    copy = onnx_library.ModelProto()
    copy.CopyFrom(model)
    kernel = max(copy.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(kernel).copy()
    values.flat[0] += 1
    kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
    return copy


@pytest.fixture
def inputs(data_folder: Path, student_folder: Path) -> dict[str, Path]:
    return {"data": data_folder, "distill": student_folder}


def test_one_broken_weight_stops_both_files_with_the_numbers(
    ctx: Context, inputs: dict[str, Path], onnx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = broken(onnx_library.load(onnx_folder / FILES[1]))
    monkeypatch.setattr("export.graphs.export_logits", lambda *arguments: model)

    with pytest.raises(ParityError) as raised:
        onnx.run(ctx, inputs, onnx.Config(forms=("fp32",), parity_images=2, miou_images=3))

    said = str(raised.value)
    assert re.search(r"student\.fp32\.labels\.onnx: \d+ label violations, limit 0", said)
    assert re.search(r"student\.fp32\.logits\.onnx: max logit error [\d.]+, limit 0.001", said)
    assert "\n" not in said


def test_one_broken_file_leaves_the_other_its_good_name(
    ctx: Context, inputs: dict[str, Path], onnx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = onnx_library.load(onnx_folder / FILES[1])
    monkeypatch.setattr("export.graphs.export_logits", lambda *arguments: good)
    monkeypatch.setattr("export.onnx_files.labels_from_logits", lambda model: labels_from_logits(broken(model)))

    with pytest.raises(ParityError, match=r"^student\.fp32\.labels\.onnx: ") as raised:
        onnx.run(ctx, inputs, onnx.Config(forms=("fp32",), parity_images=1, miou_images=1))

    assert "logits" not in str(raised.value)


@pytest.mark.parametrize("val", [None, []])
def test_a_split_without_images_is_named_before_anything_is_exported(
    val: list[Any] | None, ctx: Context, inputs: dict[str, Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(inputs["data"], data)
    index = read_json(data / "index.json")
    assert set(index["splits"]) == {"train", "test"}
    if val is not None:
        index["splits"]["val"] = val
        (data / "index.json").write_text(json.dumps(index))

    told = r"export\.onnx reads split val of synthetic, which has no images; there are in train or test"
    with pytest.raises(DataError, match=told):
        onnx.run(ctx, inputs | {"data": data}, onnx.Config(parity_split="val"))

    assert not any(ctx.work.iterdir())


@pytest.mark.parametrize("opset", [17, 21])
def test_an_opset_that_boards_do_not_read_is_refused(opset: int) -> None:
    with pytest.raises(ValidationError, match="opset"):
        onnx.Config(opset=opset)


@pytest.mark.parametrize("opset", [18, 20])
def test_every_other_opset_keeps_to_the_old_file_format(opset: int, student_folder: Path) -> None:
    student = load_student(student_folder)

    model = export_logits(student.deployed("logits"), student.size_px, 1, opset)

    assert model.ir_version == 10
    assert [each.version for each in model.opset_import if not each.domain] == [opset]


def test_espnet_with_an_open_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec = NetSpec("espnet", 5, {"p": 1, "q": 1}, *NORMALISATIONS["imagenet"])
    module = Deployed(build(spec.net, spec.classes, **spec.args), spec, "logits")

    model = labels_from_logits(export_logits(module, (32, 64), "dynamic", 19))

    path = tmp_path / "espnet.onnx"
    onnx_library.save(model, path)
    images_NHWC = np.random.default_rng(0).integers(0, 256, (3, 32, 64, 3), dtype=np.uint8)
    with OnnxRuntime(path) as runtime:
        assert runtime.input.shape == ("batch", 32, 64, 3)
        assert runtime.output.shape == ("batch", 32, 64)
        all_three = runtime.predict(images_NHWC)
        one_by_one = [runtime.predict(images_NHWC[i : i + 1])[0] for i in range(3)]
    assert np.array_equal(all_three, np.stack(one_by_one))


def test_the_student_is_read_from_its_folder_alone(student_folder: Path) -> None:
    student = load_student(student_folder)

    assert student.size_px == (48, 96)
    assert [c["name"] for c in student.classes][:2] == ["sky", "building"]
    assert not student.net.training
