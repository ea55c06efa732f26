"""Small students under every term of the catalogue, trained by however many processes run this."""

import json
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.group.ranks import Group, started
from pipeline.signals import Terminated, stop_on_sigterm
from pipeline.stage import Context
from stages.distributed.channel import leave_group
from stages.loading.loader import Batch
from stages.losses import holistic
from stages.losses.methods import resolve
from stages.nets.catalogue import NetSpec
from stages.nets.discriminator import Discriminator
from stages.nets.position import PositionNet
from stages.training import loop
from stages.training.config import TrainingConfig
from stages.training.device import start_fabric
from stages.training.record.gradient_share import GradientShare
from stages.training.student import Teacher, train_net

CLASSES, BATCH, SIDE = 3, 4, 32
SPEC = NetSpec("small", CLASSES, {}, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
TERMS: dict[str, dict[str, Any]] = {
    "supervised": {"weight": 1.0},
    "auxiliary": {"weight": 0.4},
    "pixel_wise": {"weight": 1.0},
    "pixel_wise_published": {"kind": "pixel_wise", "weight": 0.1, "reduction": "published"},
    "kd": {"weight": 1.0},
    "pair_wise": {"weight": 0.5},
    "holistic": {"weight": 0.1},
    "channel_wise": {"weight": 0.5},
    "inter_class": {"weight": 1.0},
    "inter_class_paper": {"kind": "inter_class", "weight": 0.01, "reduction": "paper"},
    "position": {"weight": 1.0},
    "position_paper": {"kind": "position", "weight": 0.01, "reduction": "paper"},
    "ifvd": {"weight": 20.0},
}


class Small(nn.Module):
    """One convolution to a quarter of the grid, a classifier, an auxiliary one, and a layer that no term reads."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 4, 4), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Conv2d(width, CLASSES, 1)
        self.aux_head = nn.Conv2d(width, CLASSES, 1)
        self.unread = nn.Conv2d(width, 1, 1)
        self.tap_channels = {"logits": CLASSES, "pyramid": width}

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        pyramid = self.stem(images_NCHW)
        unread = self.unread(pyramid)
        return {"logits": self.head(pyramid), "aux": self.aux_head(pyramid), "pyramid": pyramid, "unread": unread}


class FixedDiscriminator(Discriminator):
    """Narrow, and its batch norm keeps its statistics: those of two halves of a batch are not those of the whole."""

    def train(self, mode: bool = True) -> "FixedDiscriminator":
        super().train(mode)
        self.layers[0].eval()
        return self


def batches(group: Group, iterations: int) -> Callable[[int], Generator[Batch]]:
    """A process's share of seeded batches, in which the images have unlike numbers of labelled pixels."""

    def from_iteration(start: int) -> Generator[Batch]:
        own = group.share(BATCH)
        for iteration in range(start, iterations):
            generator = torch.Generator().manual_seed(iteration)
            images = torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8, generator=generator)
            labels = torch.randint(0, CLASSES, (BATCH, SIDE, SIDE), dtype=torch.uint8, generator=generator)
            labels[0, 4:] = 255
            labels[1] = 255
            labels[2, :, 10:] = iteration % CLASSES
            yield Batch(images[own], labels[own])

    return from_iteration


@contextmanager
def progress(title: str, total: int, done: int) -> Iterator[Any]:
    yield Bar(done)


class Bar:
    stop_at: int | None = None
    terminate_at: int | None = None

    def __init__(self, done: int) -> None:
        self.done = done

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        self.done += 1
        if self.done == self.stop_at:
            raise InterruptedError
        if self.done == self.terminate_at:
            signal.raise_signal(signal.SIGTERM)


def train(
    scratch: Path,
    iterations: int,
    dropout: float,
    without: Sequence[str] = (),
    lines: list[str] | None = None,
    **more: Any,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """State of the student and its history."""
    group = started()
    holistic.Discriminator = partial(FixedDiscriminator, width=4)  # type: ignore[attr-defined]
    loop.HISTORY_EVERY = 1
    scratch.mkdir(exist_ok=True)
    log = lines.append if lines is not None else lambda line: None
    ctx = Context(scratch, scratch, "cpu", {}, log, progress, group=group)
    values = {"batch": BATCH, "crop_px": (SIDE, SIDE), "lr": 0.02, "precision": "fp32", "checkpoint_iterations": 4}
    config = TrainingConfig(iterations=iterations, **(values | more))
    torch.manual_seed(7)
    teacher = Teacher(Small(6, 0.0).eval(), SPEC, PositionNet(6, hidden=3))
    fabric = start_fabric("fp32", "cpu", 0, group=group)
    try:
        net = Small(4, dropout)
        probe = GradientShare(10, iterations, ctx.log)
        terms = resolve("custom", {name: term for name, term in TERMS.items() if name not in without})
        history = train_net(
            fabric, net, SPEC, terms, batches(group, iterations), config, ctx, "student", teacher, probe=probe
        )
    finally:
        leave_group()
    return net.state_dict(), history


def equal(folder: Path) -> None:
    """Twenty steps without anything that depends on how a batch is cut."""
    keep(folder, "equal", *train(folder / "equal", 20, 0.0, batch_norm="frozen"))


def in_parts(folder: Path) -> None:
    """Ten steps, each process's share in two parts, with clipping and averaged weights."""
    settings = {"batch_norm": "frozen", "accumulate": 2, "clip_norm": 0.5, "ema": 0.9}
    keep(folder, "in_parts", *train(folder / "in_parts", 10, 0.0, ["holistic"], **settings))


def resumed(folder: Path) -> None:
    """Ten steps with dropout and batch norm, whole, and in two parts of which the first ends after its sixth step."""
    keep(folder, "whole", *train(folder / "whole", 10, 0.3))
    Bar.stop_at = 6
    try:
        train(folder / "parts", 10, 0.3)
    except InterruptedError:
        Bar.stop_at = None
    if started().leads:
        shutil.copytree(folder / "parts", folder / "left")
    keep(folder, "parts", *train(folder / "parts", 10, 0.3))


def stopped(folder: Path) -> None:
    """Ten steps of which SIGTERM reaches one process alone, in the third."""
    Bar.terminate_at = 3 if started().rank == started().world - 1 else None
    try:
        train(folder / "stopped", 10, 0.3)
    except Terminated:
        Bar.terminate_at = None
    keep(folder, "stopped", *train(folder / "stopped", 10, 0.3))


def taken_up(folder: Path) -> None:
    """What two processes left, brought to its end by one."""
    lines: list[str] = []
    keep(folder, "left", *train(folder / "left", 10, 0.3, lines=lines))
    (folder / "log.txt").write_text("\n".join(lines))


def keep(folder: Path, name: str, state: dict[str, Tensor], history: list[dict[str, Any]]) -> None:
    torch.save(state, folder / f"{name}-{started().rank}.pt")
    (folder / f"{name}-{started().rank}.json").write_text(json.dumps(history))


if __name__ == "__main__":
    stop_on_sigterm()
    for name in sys.argv[2:]:
        globals()[name](Path(sys.argv[1]))
