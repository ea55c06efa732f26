"""A few real steps of a training on random images: how long one takes, and what it holds.

Where a step would take too long to try, the batch and then the crop are made smaller, and what was measured is scaled
by the multiply-accumulates of the networks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stages.estimates.memory import BYTES_PER_MIB, watched
from stages.estimates.unseen import trial
from stages.evaluation.predict import torch_predictor
from stages.evaluation.results import draw_confusion
from stages.loading.loader import Batch
from stages.losses.methods import KINDS, TermConfig
from stages.metrics import Tally
from stages.nets.catalogue import NetSpec, build, build_unfilled
from stages.nets.config import NetConfig
from stages.nets.foreign import foreign, is_foreign
from stages.nets.normalise import Normalise
from stages.nets.position import PositionNet
from stages.nets.taps import add_taps
from stages.training.artifact import EVALUATION_BATCH
from stages.training.config import TrainingConfig
from stages.training.device import start_fabric
from stages.training.student import Teacher, train_net

MOST_MACS = {"cpu": 4e10, "cuda": 2e12}
"""Multiply-accumulates of a step that is tried: about a second, or less."""
BACKWARD = 2
"""A backward pass computes the gradients of maps and of weights: twice the forward pass."""
OPTIMISER_BYTES = 8
"""Of a parameter: gradient and momentum, which no smaller crop makes smaller."""
SMALLEST_PX = 64
SMALLEST_BATCH = 2
TRY_S = 1.0
STEPS = (4, 13)
"""At least and at most, the first of which only warms up."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Subject:
    """A training to be tried."""

    config: TrainingConfig
    net: NetConfig
    terms: Mapping[str, TermConfig]
    classes: int
    size_px: Size
    device: str
    teacher: NetConfig | None = None
    position_hidden: int = 0
    """Channels of the read-out that a position term reads."""

    def macs(self, size_px: Size) -> tuple[float, float]:
        """Forward passes of the trained network and of the teacher, for one image."""
        return macs(self.net, self.classes, size_px), macs(self.teacher, self.classes, size_px) if self.teacher else 0.0

    def step_macs(self, size_px: Size, batch: int) -> float:
        """Of one step."""
        own, teachers = self.macs(size_px)
        return batch * ((1 + BACKWARD) * own + teachers)


def macs(net: NetConfig, classes: int, size_px: Size) -> float:
    """Multiply-accumulates of a forward pass of one image, counted without computing."""
    built = build_unfilled(net.net, classes, net.args).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        built(torch.zeros(1, 3, *size_px, device="meta"))
    return counter.get_total_flops() / 2


def shrunk(size_px: Size, batch: int, cost: Callable[[Size, int], float], most: float) -> tuple[Size, int]:
    """A smaller batch, and then a smaller crop, until the cost is at most `most` or both are at their least."""
    while cost(size_px, batch) > most:
        if batch > SMALLEST_BATCH:
            batch = max(SMALLEST_BATCH, batch // 2)
        elif min(size_px) > SMALLEST_PX:
            size_px = smaller(size_px[0]), smaller(size_px[1])
        else:
            break
    return size_px, batch


def smaller(length: int) -> int:
    """Half of a length, rounded up to a whole number of the smallest."""
    return SMALLEST_PX * -(-length // (2 * SMALLEST_PX))


def rehearse(subject: Subject) -> dict[str, float]:
    """What a training costs: seconds of set-up, step, evaluation of an image and closing; MiB at most; parameters."""
    crop_px, batch, scale = tried(subject)
    config = subject.config.model_copy(update={"crop_px": crop_px, "batch": batch, "iterations": 1_000_000})
    began = time.perf_counter()
    fabric = start_fabric(config.precision, subject.device, config.seed)
    taps = [term.tap for term in subject.terms.values()]
    net, spec = built(subject.net, subject.classes, taps, crop_px, subject.device)
    teacher = teacher_of(subject, taps, crop_px)
    stream = Stream(random_batch(subject.classes, batch, crop_px))
    with TemporaryDirectory() as folder, watched(subject.device) as held:
        ctx = trial(Path(folder), subject.device)
        train_net(fabric, net, spec, subject.terms, stream.batches, config, ctx, "calibration", teacher)
        began_to_close = time.perf_counter()
        draw_confusion(Path(folder) / "confusion.png", np.eye(subject.classes, dtype=np.int64), names(subject), "")
        closing_s = time.perf_counter() - began_to_close
    evaluation_s, evaluation_mib = evaluate(subject, net, spec)
    own, teachers = subject.macs(subject.config.crop_px)
    parameters = sum(p.numel() for p in net.parameters())
    return {
        "setup_s": stream.asked_s[0] - began + stream.first_took_longer_s(),
        "step_s": stream.step_s() * scale,
        "evaluation_s": evaluation_s,
        "closing_s": closing_s,
        "peak_mib": max(held.scaled(scale, parameters * OPTIMISER_BYTES / BYTES_PER_MIB), evaluation_mib),
        "parameters": parameters,
        "teacher_share": teachers / own,
    }


def tried(subject: Subject) -> tuple[Size, int, float]:
    """Crop and batch that are tried, and by how much one part of the batch is scaled for it, as is the whole step."""
    parts = subject.config.accumulate
    crop_px, images = subject.config.crop_px, subject.config.batch // parts

    def cost(size_px: Size, images: int) -> float:
        return subject.step_macs(size_px, parts * images)

    small_px, few = shrunk(crop_px, images, cost, MOST_MACS[subject.device])
    return small_px, parts * few, cost(crop_px, images) / cost(small_px, few)


class Stream:
    """The same batch again and again, until enough steps were seen."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch
        self.asked_s: list[float] = []

    def batches(self, start: int) -> Generator[Any]:
        """Notes when each batch is asked for: by then the step before has ended."""
        fewest, most = STEPS
        while True:
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            self.asked_s.append(time.perf_counter())
            tried = len(self.asked_s) - 1
            if tried >= most or (tried >= fewest and self.asked_s[-1] - self.asked_s[1] >= TRY_S):
                return
            yield self.batch

    def step_s(self) -> float:
        """Median seconds of a step, but for the first."""
        asked = self.asked_s[1:]
        return median(after - before for before, after in pairwise(asked))

    def first_took_longer_s(self) -> float:
        """Seconds that the first step took beyond the others: what is compiled or chosen once."""
        return max(self.asked_s[1] - self.asked_s[0] - self.step_s(), 0.0)


def random_batch(classes: int, batch: int, crop_px: Size) -> Batch:
    """Images and labels of noise: what a step costs does not depend on them."""
    images_NHWC = torch.randint(0, 256, (batch, *crop_px, 3), dtype=torch.uint8)
    return Batch(images_NHWC, torch.randint(0, classes, images_NHWC.shape[:3], dtype=torch.uint8))


def built(
    config: NetConfig, classes: int, taps: Iterable[str], size_px: Size, device: str
) -> tuple[nn.Module, NetSpec]:
    """A network at random, with these maps; none that would have to be downloaded."""
    spec = config.spec(classes)
    skipped = foreign(spec.net).start_args if is_foreign(spec.net) else ()
    net = build(spec.net, spec.classes, **{name: value for name, value in spec.args.items() if name not in skipped})
    net.to(device)
    add_taps(net, spec, taps, size_px)
    return net, spec


def teacher_of(subject: Subject, taps: Iterable[str], crop_px: Size) -> Teacher | None:
    """The teacher and the position network that the terms read."""
    if subject.teacher is None:
        return None
    net, spec = built(subject.teacher, subject.classes, taps, crop_px, subject.device)
    channels: Any = net.tap_channels
    read = [term.tap for term in subject.terms.values() if KINDS[term.kind].position]
    return Teacher(net, spec, PositionNet(channels[read[0]], subject.position_hidden) if read else None)


def evaluate(subject: Subject, net: nn.Module, spec: NetSpec) -> tuple[float, float]:
    """Seconds to predict and to count an image as the stage scores it, and MiB at most."""
    config, device = subject.config, subject.device

    def cost(size_px: Size, batch: int) -> float:
        return batch * macs(subject.net, subject.classes, size_px)

    size_px, batch = shrunk(subject.size_px, EVALUATION_BATCH, cost, MOST_MACS[device])
    scale = cost(subject.size_px, 1) / cost(size_px, 1)
    images_NHWC = np.random.default_rng(0).integers(0, 256, (batch, *size_px, 3), dtype=np.uint8)
    predict = torch_predictor(net.eval(), Normalise(spec.mean, spec.std).to(device), device, config.evaluation)
    tally = Tally(subject.classes, config.evaluation.boundary)
    predict(images_NHWC)
    with watched(device) as held:
        began = time.perf_counter()
        for ids_HW in predict(images_NHWC):
            tally.add(ids_HW, ids_HW)
        seconds = (time.perf_counter() - began) / batch
    return seconds * scale, held.scaled(scale * EVALUATION_BATCH / batch)


def names(subject: Subject) -> list[str]:
    """Names of as many classes."""
    return [str(number) for number in range(subject.classes)]
