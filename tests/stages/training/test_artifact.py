"""A network is scored on val while it trains as it is in the end; what is published says which weights it holds."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from stages.datasets.checks import check
from stages.datasets.config import DataConfig
from stages.datasets.folder import collect
from stages.datasets.index import Index, label_map, network_classes, write_index
from stages.nets.catalogue import NetSpec, build
from stages.nets.saved import load_net
from stages.preprocess import Preprocess
from stages.training.artifact import score, val_score, volatile, write_artifact
from stages.training.config import TrainingConfig
from stages.training.device import start_fabric
from tests.stages.training.loops import context

ARGS = {"width": 0.125}
SPEC = NetSpec("pspnet_resnet18", 2, ARGS, (0.5,) * 3, (0.5,) * 3)


@pytest.fixture
def index(small: Path) -> Index:
    layout = collect(DataConfig(source="folder", root=small), small)
    rows, samples = layout.classes, check(layout, False, lambda n: None).splits
    return Index("small", Preprocess(32, 32), False, label_map(rows), samples, network_classes(rows))


def setting(index: Index, small: Path, work: Path, **changes):
    """A context, a network that trains, and the rest of what scoring asks for."""
    ctx = context(work)
    ctx = type(ctx)(**(vars(ctx) | {"settings": {"data.root": small}}))
    torch.manual_seed(0)
    config = TrainingConfig(evaluate=("val",), **changes)
    return ctx, build(SPEC.net, 2, **ARGS), SPEC, small, index, config, start_fabric("fp32", "cpu", seed=0)


def state_of(net: nn.Module) -> tuple[list[torch.Tensor], list[bool]]:
    return [t.clone() for t in net.state_dict().values()], [module.training for module in net.modules()]


def test_a_score_on_the_way_is_the_score_in_the_end_and_leaves_no_trace(index: Index, small: Path, tmp_path) -> None:
    given = setting(index, small, tmp_path / "work", validate_iterations=5)
    net = given[1]
    net.pyramid.eval()
    (weights, modes), random = state_of(net), torch.get_rng_state()
    rated = val_score(*given)
    assert rated is not None
    miou = rated()
    assert torch.equal(random, torch.get_rng_state())
    after, modes_after = state_of(net)
    assert modes == modes_after and all(map(torch.equal, weights, after))
    assert miou == score(*given)["val"]["miou"]


def test_no_score_is_taken_unless_it_is_asked_for(index: Index, small: Path, tmp_path: Path) -> None:
    assert val_score(*setting(index, small, tmp_path / "work")) is None


def test_the_artifact_says_which_weights_it_holds(index: Index, small: Path, tmp_path: Path) -> None:
    ctx, net, _, _, _, config, _ = setting(index, small, tmp_path / "work", validate_iterations=5, keep="best")
    write_index(small, index)
    (small / "preprocess.json").write_text("{}")
    net.aux_head = None
    history = [{"iteration": 4, "seconds": 1.0, "lr": 0.1, "total": 2.0, "val_miou": 0.25}]
    write_artifact(ctx, net, SPEC, small, {}, history, config, "Student")
    folder = tmp_path / "work"
    assert json.loads((folder / "config.json").read_text())["weights"] == {"kept": "best", "steps": 5, "val_miou": 0.25}
    card = (folder / "README.md").read_text()
    assert "Weights: the best on val, after 5 steps, mIoU 25.00 % on val." in card and "](training_curve.png)" in card
    assert (folder / "training_curve.png").is_file() and "training_curve.png" in volatile({}, history)
    assert "training_curve.png" not in volatile({}, [])
    load_net(folder)
