"""Looking at a student leaves it as it was; what is found is right where it can be known."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.gaps.report import AFTER, BEFORE, read_gaps
from pipeline.stage import Context
from stages.datasets.config import DataConfig
from stages.datasets.index import read_index
from stages.distill import Config
from stages.losses.methods import resolve
from stages.losses.terms import DistillationTerms
from stages.nets.catalogue import NORMALISATIONS, build
from stages.nets.normalise import Normalise
from stages.nets.position import PositionNet
from stages.nets.shapes import map_shapes
from stages.training.record.gaps import PositionGap, gaps_of
from stages.training.student import NetWithTerms


@contextmanager
def silent(title: str, total: int, done: int) -> Iterator[object]:
    class Bar:
        def step(self, images: int, terms: object) -> None: ...

    yield Bar()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny synthetic data artifact."""
    from stages import data as stage

    work = tmp_path_factory.mktemp("data")
    config = DataConfig(size_px=(64, 96), train_images=2, val_images=3, test_images=0)
    stage.run(Context(work, work, "cpu", {}, lambda line: None, silent), {}, config)
    return work


def module_of(method: str, net: nn.Module, position_net: nn.Module | None) -> NetWithTerms:
    shapes = map_shapes(net, (64, 96))
    terms = DistillationTerms(resolve(method, {}), shapes, shapes, position_net=position_net)
    return NetWithTerms(net, Normalise(*NORMALISATIONS["imagenet"]), terms)


def context(work: Path, said: list[str]) -> Context:
    return Context(work, work, "cpu", {}, said.append, silent)


def test_a_student_that_is_its_teacher_has_no_gap_and_stays_as_it_was(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = build("pspnet_resnet18", 8, width=0.25)
    module = module_of("idd", net, PositionNet(net.tap_channels["pyramid"], hidden=4))
    with torch.no_grad():
        adapter = module.terms.adapters["position"].weight
        adapter.copy_(torch.eye(adapter.shape[0])[..., None, None])
    said: list[str] = []
    gaps = gaps_of(context(tmp_path, said), data, read_index(data), Config(gap_images=2), module.terms.configs)
    assert gaps is not None and "2 images of val" in said[0]

    def teacher(images_NHWC: Tensor) -> dict[str, Tensor]:
        return net(module.normalise(images_NHWC))

    state = {name: value.clone() for name, value in module.state_dict().items()}
    random_state = torch.get_rng_state()
    gaps.look(BEFORE, module, teacher)
    gaps.look(AFTER, module, teacher)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)

    assert set(gaps.write()) == {"gaps.json", "class_distances.png", "position_maps.png"}
    found = read_gaps(tmp_path)
    assert found is not None and len(found["images"]) == 2
    assert set(found["inter_class"]["graphs"]) == {"backbone", "logits", "pyramid"}
    for graphs in found["inter_class"]["graphs"].values():
        assert graphs["teacher"] == graphs[BEFORE] == graphs[AFTER]
    assert found["position"][AFTER] == {"horizontal": 0.0, "vertical": 0.0}
    for name in ("class_distances.png", "position_maps.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > picture.height > 200


def test_without_a_teacher_the_student_s_own_graphs_are_kept(data: Path, tmp_path: Path) -> None:
    module = module_of("none", build("pspnet_resnet18", 8, width=0.25), None)
    gaps = gaps_of(context(tmp_path, []), data, read_index(data), Config(method="none"), module.terms.configs)
    assert gaps is not None
    gaps.look(BEFORE, module, None)
    gaps.look(AFTER, module, None)
    assert gaps.write() == ("gaps.json", "class_distances.png")
    found = json.loads((tmp_path / "gaps.json").read_text())
    assert set(found["inter_class"]["graphs"]["pyramid"]) == {BEFORE, AFTER} and found["position"] is None


@pytest.mark.parametrize("changes", [{"gap_images": 0}, {"evaluate": ()}, {"evaluate": ("test",)}])
def test_nothing_is_looked_at_where_no_image_is_asked_for_or_there(data: Path, tmp_path: Path, changes: dict) -> None:
    assert gaps_of(context(tmp_path, []), data, read_index(data), Config(**changes), {}) is None


def test_images_without_labels_cannot_be_looked_at(data: Path, tmp_path: Path) -> None:
    index = read_index(data)
    unlabelled = tuple(replace(sample, label=None, label_sha256=None) for sample in index.samples("val"))
    published = replace(index, splits={**index.splits, "test": unlabelled})
    gaps = gaps_of(context(tmp_path, []), data, published, Config(), {})
    assert gaps is not None and gaps.split == "val"


def test_position_compares_rows_of_hor_and_columns_of_ver_as_unit_vectors() -> None:
    teacher = torch.tensor([[[[3.0, 4.0], [3.0, 4.0]], [[1.0, 1.0], [0.0, 0.0]]]])
    student = torch.tensor([[[[6.0, 8.0], [4.0, 3.0]], [[0.0, 5.0], [2.0, 0.0]]]])
    gap = PositionGap()
    gap.add(student, teacher)
    # Rows of HOR: one direction, then (0.8, 0.6) against (0.6, 0.8). Columns of VER: (0, 1), (1, 0) against (1, 0).
    expected = {"horizontal": round(0.08**0.5 / 2, 4), "vertical": round(2**0.5 / 2, 4)}
    assert gap.to_json() == expected
