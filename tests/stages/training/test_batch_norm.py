"""Frozen statistics, and what synchronised ones need."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.errors import TrainingError
from pipeline.group.ranks import Group
from pipeline.stage import Context
from stages.losses.terms import DistillationTerms
from stages.training.batch_norm import freeze_statistics, images_seen, synchronised
from stages.training.config import TrainingConfig
from stages.training.student import NetWithTerms


def context(device: str, group: Group) -> Context:
    return Context(Path(), Path(), device, {}, print, lambda *_: None, group=group)  # type: ignore[arg-type, return-value]


def test_frozen_statistics_stay_and_the_rest_trains() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5))
    module = NetWithTerms(net, nn.Identity(), DistillationTerms({}, {}, {}), frozen_statistics=True)
    module.train()
    assert [each.training for each in net] == [True, False, True]
    net(torch.randn(4, 1, 3, 3)).sum().backward()
    assert torch.equal(net[1].running_mean, torch.zeros(2)) and net[1].num_batches_tracked == 0
    assert net[1].bias.grad is not None, "scale and shift learn"
    module.eval()
    assert not any(each.training for each in net)


def test_synchronised_needs_gpus() -> None:
    config = TrainingConfig(batch_norm="sync")
    with pytest.raises(TrainingError, match="batch_norm = 'sync' needs GPUs"):
        synchronised(nn.BatchNorm2d(2), config, context("cpu", Group(world=2)))


def test_one_process_has_nothing_to_synchronise() -> None:
    norm = nn.BatchNorm2d(2)
    assert synchronised(norm, TrainingConfig(batch_norm="sync"), context("cpu", Group())) is norm


def test_on_gpus_every_batch_norm_is_synchronised() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    converted = synchronised(net, TrainingConfig(batch_norm="sync"), context("cuda", Group(world=2)))
    assert isinstance(converted[1], nn.SyncBatchNorm) and converted.state_dict().keys() == net.state_dict().keys()


@pytest.mark.parametrize(("batch_norm", "images"), [("process", 4), ("sync", 8), ("frozen", 2)])
def test_images_that_one_batch_norm_sees(batch_norm: str, images: int) -> None:
    config = TrainingConfig(batch=8, batch_norm=batch_norm)
    assert images_seen(config, context("cuda", Group(world=2))) == images


def test_freezing_reaches_all_of_them() -> None:
    net = nn.Sequential(nn.Sequential(nn.BatchNorm2d(1)), nn.BatchNorm1d(1), nn.GroupNorm(1, 1))
    freeze_statistics(net.train())
    assert [each.training for each in (net[0][0], net[1], net[2])] == [False, False, True]
