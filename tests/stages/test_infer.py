"""Predictions as files: sizes, names, ids, and what a test server takes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import DataError
from stages.datasets.catalogue import published_classes
from stages.datasets.index import Index, LabelClass, Sample, network_classes, write_index
from stages.evaluation.predict import torch_predictor
from stages.infer import infer_folder, infer_split, label_ids, tasks_of
from stages.nets.catalogue import NetSpec, build
from stages.nets.normalise import Normalise
from stages.nets.saved import load_net, save_net
from stages.preprocess import Preprocess, fit, read_image, restore
from stages.training.config import EvaluationConfig

CLASSES = network_classes(published_classes("cityscapes"))
TRAIN_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
GRID = Preprocess(24, 48)
WHOLE = EvaluationConfig()


def silent(total: int) -> Callable[[int], None]:
    return lambda count: None


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network of Cityscapes' classes, as an artifact holds it."""
    folder = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    net = build("pspnet_resnet18", len(CLASSES), width=0.25)
    net.aux_head = None
    save_net(folder, net, NetSpec("pspnet_resnet18", len(CLASSES), {"width": 0.25}, (0.5,) * 3, (0.5,) * 3))
    labels = [{"id": c.id, "name": c.name, "rgb": list(c.rgb)} for c in CLASSES]
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "preprocess.json").write_text(json.dumps(GRID.to_json()))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images of two sizes, in two folders."""
    rng = np.random.default_rng(0)
    for name, size_hw in (
        ("bonn/bonn_0_1.png", (30, 60)),
        ("bonn/bonn_0_2.jpg", (24, 48)),
        ("ulm/ulm_0_1.png", (9, 7)),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8)).save(tmp_path / name)
    return tmp_path


def expected(network: Path, image: Path) -> np.ndarray:
    net, spec = load_net(network)
    image_HWC = read_image(image)
    ids_HW = torch_predictor(net, Normalise(spec.mean, spec.std), "cpu")(fit(image_HWC, GRID)[None])[0]
    return restore(ids_HW, GRID, image_HWC.shape[:2])


def test_ids_at_the_images_own_size(network: Path, root: Path, tmp_path: Path) -> None:
    assert infer_folder(network, root, "ids", tmp_path / "out", "cpu", WHOLE, silent) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bonn_0_1.png", "bonn_0_2.png", "ulm_0_1.png"]
    for image in root.glob("*/*.*"):
        if image.parent.name != "out":
            written = np.asarray(Image.open(tmp_path / "out" / f"{image.stem}.png"))
            assert np.array_equal(written, expected(network, image))


def test_label_ids_are_those_of_the_test_server(network: Path, root: Path, tmp_path: Path) -> None:
    infer_folder(network, root / "bonn", "cityscapes", tmp_path / "out", "cpu", WHOLE, silent)
    with Image.open(tmp_path / "out/bonn_0_1.png") as picture:
        assert picture.mode == "L"
        written = np.asarray(picture)
    assert np.array_equal(written, np.array(TRAIN_IDS, np.uint8)[expected(network, root / "bonn/bonn_0_1.png")])


def test_color_shows_the_classes_colours(network: Path, root: Path, tmp_path: Path) -> None:
    infer_folder(network, root / "ulm", "color", tmp_path / "out", "cpu", WHOLE, silent)
    with Image.open(tmp_path / "out/ulm_0_1.png") as picture:
        ids, colours = np.asarray(picture), np.asarray(picture.convert("RGB"))
    assert np.array_equal(colours, np.array([c.rgb for c in CLASSES], np.uint8)[ids])


def test_a_split_needs_no_labels(network: Path, root: Path, tmp_path: Path) -> None:
    sample = Sample("bonn/bonn_0_1.png", None, "0", None, 30, 60)
    index = Index("cityscapes", GRID, False, tuple(range(256)), {"test": (sample,)}, CLASSES)
    (tmp_path / "data").mkdir()
    write_index(tmp_path / "data", index)
    settings = {"data.root": root}
    arguments = ("cityscapes", tmp_path / "out", "cpu", EvaluationConfig(mirror=True), silent)
    assert infer_split(network, tmp_path / "data", "test", settings, *arguments) == 1
    assert (tmp_path / "out/bonn_0_1.png").is_file()
    with pytest.raises(DataError, match="split val of cityscapes has no images: give one of test"):
        infer_split(network, tmp_path / "data", "val", settings, *arguments)
    write_index(tmp_path / "data", replace(index, splits={"test": (replace(sample, image="bonn/none.png"),)}))
    with pytest.raises(DataError, match=r"no file .*none.png"):
        infer_split(network, tmp_path / "data", "test", settings, *arguments)


def test_names_that_repeat_keep_their_folders(tmp_path: Path) -> None:
    targets = [task.target for task in tasks_of(tmp_path, ["a/x.jpg", "b/x.jpg"], Path("out"))]
    assert targets == [Path("out/a/x.png"), Path("out/b/x.png")]
    with pytest.raises(DataError, match=r"two images would both become a/x.png"):
        tasks_of(tmp_path, ["a/x.jpg", "a/x.png"], Path("out"))


def test_what_cannot_be_predicted_is_named(network: Path, root: Path, tmp_path: Path) -> None:
    for folder, message in ((root / "absent", "no folder"), (network, "no picture below")):
        with pytest.raises(DataError, match=message):
            infer_folder(network, folder, "ids", tmp_path / "out", "cpu", WHOLE, silent)
    (root / "ulm/broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken.png: cannot be read"):
        infer_folder(network, root, "ids", tmp_path / "out", "cpu", WHOLE, silent)


def test_other_classes_have_no_label_ids() -> None:
    assert label_ids([{"id": c.id, "name": c.name} for c in CLASSES]).tolist() == TRAIN_IDS
    cat = LabelClass(0, "cat", (0, 0, 0))
    with pytest.raises(DataError, match="'cat' is none of Cityscapes' 19 classes"):
        label_ids([{"id": cat.id, "name": cat.name}])
