"""The data stage, from its config to its artifact."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from pipeline.stage import Context
from stages import data
from stages.datasets.index import Index, images_root, read_index
from stages.datasets.pixels import read_fitted
from stages.preprocess import Preprocess


def run(work: Path, config: data.Config) -> tuple[Index, list[str]]:
    work.mkdir(exist_ok=True)
    lines: list[str] = []

    @contextmanager
    def progress(title: str, total: int, done: int):
        yield SimpleNamespace(step=lambda images, terms: None)

    data.run(Context(work, work, "cpu", {}, lines.append, progress), {}, config)
    return read_index(work), lines


def test_the_stage_is_light_to_import() -> None:
    heavy = "{'torch', 'numpy', 'PIL'} & set(sys.modules)"
    script = f"import sys, stages.data; sys.exit(str({heavy}) if {heavy} else 0)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(data.__file__).parent.parent)


def test_code_names_the_chosen_source() -> None:
    assert data.code(data.Config(source="camvid")) == ("stages.datasets.camvid",)


def test_source_files(small: Path) -> None:
    assert data.source_files(data.Config()) == {}
    assert len(data.source_files(data.Config(source="folder", root=small))) == 16
    with pytest.raises(DataError, match=r"--set data.root=PATH"):
        data.source_files(data.Config(source="folder", root=small / "absent"))


def test_what_a_source_stands_for_is_in_the_key() -> None:
    assert data.choices(data.Config(source="voc"))["source"]["module"] == "stages.datasets.voc"


def test_folder_to_artifact(small: Path, tmp_path: Path) -> None:
    index, _ = run(tmp_path / "work", data.Config(source="folder", root=small, size_px=(6, 8)))
    assert [c.name for c in index.classes] == ["road", "sky"]
    assert [sample.image for sample in index.samples("test")] == ["images/e.png", "images/f.png"]
    work = tmp_path / "work"
    assert json.loads((work / "labels.json").read_text())[1] == {"id": 1, "name": "sky", "rgb": [9, 9, 9]}
    assert json.loads((work / "preprocess.json").read_text()) == Preprocess(6, 8).to_json()
    ids = np.concatenate([np.asarray(Image.open(small / s.label)).ravel() for s in index.samples("train")])
    shares = json.loads((work / "frequencies.json").read_text())["train"]
    assert shares["classes"] == {"road": np.mean(ids == 0), "sky": np.mean(ids == 7)}
    assert shares["ignored"] == pytest.approx(np.mean((ids == 5) | (ids == 255)))


def test_synthetic_artifact_holds_its_images(tmp_path: Path) -> None:
    config = data.Config(size_px=(32, 48), train_images=2, val_images=1, test_images=1)
    index, _ = run(tmp_path / "work", config)
    root = images_root(tmp_path / "work", index, {})
    image, labels = read_fitted(root, index.samples("val")[0], index)
    assert image.shape == (32, 48, 3) and labels.shape == (32, 48)
    assert "ego_vehicle" not in {c.name for c in index.classes}


def test_a_class_without_pixels_is_named(small: Path, tmp_path: Path) -> None:
    with (small / "classes.csv").open("a") as file:
        file.write("9,unicorn,1,1,1,0\n")
    _, lines = run(tmp_path / "work", data.Config(source="folder", root=small))
    assert any("unicorn" in line for line in lines)


def test_holdout_moves_training_samples_to_val(small: Path, tmp_path: Path) -> None:
    config = data.Config(source="folder", root=small, holdout=("b", "c"))
    index, _ = run(tmp_path / "work", config)
    assert [s.image for s in index.samples("train")] == ["images/a.png"]
    assert [s.image for s in index.samples("val")] == ["images/b.png", "images/c.png"]
    assert len(index.samples("test")) == 2


def test_holdout_faults(small: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="starts with 'x'"):
        run(tmp_path / "work", data.Config(source="folder", root=small, holdout=("x",)))
    with pytest.raises(DataError, match=r"split train is empty.*data check .* --source folder"):
        run(tmp_path / "work", data.Config(source="folder", root=small, holdout=("a", "b", "c")))


def test_camvid(shared: Path, tmp_path: Path) -> None:
    config = data.Config(source="camvid", root=shared / "data/camvid", size_px=(360, 480), holdout=("0006R0",))
    index, _ = run(tmp_path / "work", config)
    assert {split: len(index.samples(split)) for split in ("train", "val", "test")} == {
        "train": 266,
        "val": 101,
        "test": 233,
    }
    assert len(index.classes) == 11 and index.label_map[11] == 255


def test_statistics_findings_and_pictures(small: Path, tmp_path: Path) -> None:
    with (small / "classes.csv").open("a") as file:
        file.write("9,unicorn,1,1,1,0\n")
    _, lines = run(tmp_path / "work", data.Config(source="folder", root=small))
    work = tmp_path / "work"
    assert json.loads((work / "sizes.json").read_text())["test"]["images"] == 2
    (finding,) = json.loads((work / "findings.json").read_text())
    assert finding["kind"] == "absent class" and any("1 in findings.json" in line for line in lines)
    for name in (data.SHEET, data.PLOT):
        with Image.open(work / name) as picture:
            assert min(picture.size) > 100


def test_the_artifact_is_the_same_wherever_the_root_lies(small: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    small.rename(moved)
    first = run(tmp_path / "one", data.Config(source="folder", root=moved))
    moved.rename(small)
    assert run(tmp_path / "two", data.Config(source="folder", root=small))[0] == first[0]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_fault_stops_the_stage_and_names_the_command(small: Path, tmp_path: Path) -> None:
    (small / "labels/b.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 fault: labels/b.png: .*python -m pipeline data check"):
        run(tmp_path / "work", data.Config(source="folder", root=small))
