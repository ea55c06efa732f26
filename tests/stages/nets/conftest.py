"""A module of networks that belongs to a user."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

OWN_NETS = '''
import torch
from torch import nn


class Small(nn.Module):
    """Two convolutions to 1/4; an activation that writes in place; a table that no weights file holds."""

    def __init__(self, n_classes: int, hidden: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, hidden, 3, 2, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, 2, 1),
        )
        self.head = nn.Conv2d(hidden, n_classes, 1)
        self.register_buffer("table", torch.arange(float(hidden)).view(1, -1, 1, 1), persistent=False)

    def forward(self, images):
        return self.head(self.body(images) + self.table)


class Tied(Small):
    """Two names for one layer, and its logits in a dict."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.again = self.head

    def forward(self, images):
        return {"out": super().forward(images), "note": "not read"}


class Pair(Small):
    def forward(self, images):
        return super().forward(images), None


class Vector(Small):
    def forward(self, images):
        return super().forward(images).mean((2, 3))


class Silent(Small):
    """Holds an auxiliary head and gives nothing of it."""

    def __init__(self, n_classes: int) -> None:
        super().__init__(n_classes)
        self.aux_head = nn.Conv2d(8, n_classes, 1)


class Coarse(Small):
    def forward(self, images):
        if images.shape[-1] % 32:
            raise ValueError("the width must be a multiple of 32")
        return super().forward(images)


def fixed(hidden: int = 8) -> nn.Module:
    return Small(7, hidden)


def anything(**settings) -> nn.Module:
    return Small(settings.pop("classes"), **settings)


def nothing(classes: int) -> str:
    return "no network"


def frozen(classes: int) -> nn.Module:
    return Small(classes).requires_grad_(False)


def broken(classes: int) -> nn.Module:
    raise RuntimeError("no such file\\nand more")


number = 3
'''


@pytest.fixture
def own_nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of the module `own_nets`, which is the current one."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "own_nets.py").write_text(OWN_NETS)
    monkeypatch.chdir(folder)
    importlib.invalidate_caches()
    yield folder
    sys.modules.pop("own_nets", None)
