"""What bench.training measures: one step of our loop, of the plain one, and of the bare networks.

Every callable here returns when the device has finished.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from bench.data import Pictured
from bench.training.plain import PlainTraining
from bench.training.turnstile import Through, Turnstile
from bench.turns.timing import Call, Candidate
from pipeline import recipe as recipes
from pipeline.progress import Meter
from pipeline.stage import Context
from stages import distill, teacher
from stages.loading.loader import Batch
from stages.losses.methods import KINDS, TermConfig, needs_teacher
from stages.nets.catalogue import NetSpec, build
from stages.nets.config import NetConfig
from stages.nets.position import PositionNet
from stages.nets.taps import add_taps
from stages.position import Config as PositionConfig
from stages.training.config import TrainingConfig
from stages.training.device import start_fabric
from stages.training.start import crops, place
from stages.training.student import Teacher, train_net

OURS, FLOOR, FLOOR_AND_STEP, PLAIN = "ours", "floor", "floor and optimiser step", "plain"
Task = Literal["teacher", "distill"]
TASKS: tuple[Task, ...] = ("teacher", "distill")
FLOOR_TARGET = 0.9
GPU_TARGET = 2.0
ENDLESS = {"iterations": 1_000_000}
"""No measurement comes near the last step."""


@dataclass(frozen=True)
class Size:
    """What is trained: a recipe, and what is changed of it."""

    recipe: str
    bf16_cpu_target: float | None
    """How many times the plain loop's images a second ours must make on a CPU that multiplies bf16."""
    steps: int
    """Steps of each candidate that are measured unless the user says otherwise."""
    settings: Sequence[str] = ()

    def configs(self, method: str) -> tuple[NetConfig, dict[Task, TrainingConfig]]:
        """The student's network, and the training of each task, all weights at random."""
        changes = (*self.settings, "teacher.weights=none", f"distill.method={method}")
        found = recipes.load(self.recipe, changes).configs
        teacher_config, distill_config = found["teacher"], found["distill"]
        assert isinstance(teacher_config, teacher.Config) and isinstance(distill_config, distill.Config)
        return distill_config.student, {
            "teacher": teacher_config.model_copy(update=ENDLESS),
            "distill": distill_config.model_copy(update=ENDLESS),
        }


def pair(teacher_net: str, student_net: str, crop_px: int, batch: int) -> tuple[str, ...]:
    """Settings that put other networks and another batch into a recipe."""
    sections = [(f"{s}.crop_px=[{crop_px}, {crop_px}]", f"{s}.batch={batch}") for s in ("teacher", "distill")]
    nets = (f"teacher.net={teacher_net}", f"distill.student.net={student_net}", "distill.student.args={}")
    return (*nets, *(word for words in sections for word in words))


SIZES: Mapping[str, Size] = {
    "camvid-cpu": Size("camvid-cpu", bf16_cpu_target=3.0, steps=30),
    "r101": Size("camvid-cpu", 1.5, 6, (*pair("pspnet_resnet101", "pspnet_resnet18", 256, 2), "teacher.args={}")),
}


@dataclass
class Counted:
    """The progress of a loop: every line is made, none is printed, since the loop stands still between its turns."""

    meter: Meter
    line: str = field(default="")

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        """Count an iteration and put its line together."""
        self.meter.count(1, images, terms)
        self.line = self.meter.text()


@contextmanager
def counted(title: str, total: int, done: int) -> Iterator[Counted]:
    """In place of `pipeline.progress.progress`."""
    yield Counted(Meter(title, total, done))


class Training:
    """The candidates of one task at one size; each trains networks of its own, from the same seed."""

    def __init__(
        self, size: Size, task: Task, method: str, files: Pictured, device: str, folder: Path, closing: ExitStack
    ) -> None:
        student, configs = size.configs(method)
        self.task, self.config, self.teacher_config = task, configs[task], configs["teacher"]
        assert isinstance(self.teacher_config, NetConfig)
        self.trained: NetConfig = student if task == "distill" else self.teacher_config
        self.terms = terms_of(self.config)
        self.files, self.device, self.folder, self.closing = files, device, folder, closing

    def candidates(self) -> list[Candidate]:
        """Ours first."""
        return [Candidate(name, load) for name, load in self.loads().items()]

    def loads(self) -> dict[str, Callable[[], Call]]:
        """For each candidate: what prepares it and gives its step."""
        return {
            OURS: self.ours,
            FLOOR: self.floor,
            FLOOR_AND_STEP: lambda: self.floor(with_optimiser=True),
            PLAIN: self.plain,
        }

    def ours(self) -> Call:
        """`train_net`, as the stages call it, with its loader, progress and history."""
        fabric = start_fabric(self.config.precision, self.device, self.config.seed)
        (net, spec), frozen = self.net(), self.teacher()
        ctx = self.context()
        batches = crops(ctx, self.folder, self.files.index, self.config)

        def loop(through: Through[Batch]) -> None:
            def one_a_call(start: int) -> Generator[Batch]:
                return through(batches(start))

            train_net(fabric, net, spec, self.terms, one_a_call, self.config, ctx, self.task, frozen)

        turnstile = Turnstile(loop)
        self.closing.callback(turnstile.close)
        return self.finished(turnstile)

    def floor(self, with_optimiser: bool = False) -> Call:
        """The teacher's forward pass, the trained network's forward and backward pass from the mean of its logits."""
        fabric = start_fabric(self.config.precision, self.device, self.config.seed)
        net = place(self.net()[0], self.config, self.device).train()
        given = self.teacher()
        frozen = place(given.net, self.config, self.device).eval().requires_grad_(False) if given else None
        images_NCHW = self.random_images()
        optimizer = torch.optim.SGD(net.parameters(), self.config.lr, self.config.momentum)

        def step() -> None:
            with fabric.autocast():
                if frozen:
                    with torch.no_grad():
                        frozen(images_NCHW)
                maps = net(images_NCHW)
                loss = torch.stack([maps[name].mean() for name in ("logits", "aux") if name in maps]).sum()
            loss.backward()
            if with_optimiser:
                optimizer.step()
            net.zero_grad(set_to_none=True)

        return self.finished(step)

    def plain(self) -> Call:
        """The comparison."""
        return self.finished(self.plain_training().step)

    def plain_training(self) -> PlainTraining:
        """The plain loop under the same terms."""
        return PlainTraining(self.net()[0], self.terms, self.files, self.config, self.device, self.teacher())

    def random_images(self) -> torch.Tensor:
        """Normalised images of a batch, float32, in the memory format of the config."""
        images_NHWC = torch.randn(self.config.batch, *self.config.crop_px, 3, device=self.device)
        images_NCHW = images_NHWC.permute(0, 3, 1, 2)
        return images_NCHW if self.config.channels_last else images_NCHW.contiguous()

    def net(self) -> tuple[nn.Module, NetSpec]:
        """The network that is trained, with every map that a term reads."""
        return self.built(self.trained)

    def teacher(self) -> Teacher | None:
        """The network that is distilled, and its position network, both at random; None where no term reads them."""
        if not needs_teacher(self.terms):
            return None
        assert isinstance(self.teacher_config, NetConfig)
        net, spec = self.built(self.teacher_config)
        taps = [term.tap for term in self.terms.values() if KINDS[term.kind].position]
        channels: Any = net.tap_channels
        return Teacher(net, spec, PositionNet(channels[taps[0]], PositionConfig().hidden) if taps else None)

    def built(self, config: NetConfig) -> tuple[nn.Module, NetSpec]:
        """A new network of the catalogue."""
        spec = config.spec(len(self.files.index.classes))
        torch.manual_seed(self.config.seed)
        net = build(spec.net, spec.classes, **spec.args).to(self.device)
        add_taps(net, spec, [term.tap for term in self.terms.values()], self.config.crop_px)
        return net, spec

    def context(self) -> Context:
        """What the engine would give to the stage."""
        scratch = self.folder / self.task
        scratch.mkdir(exist_ok=True)
        return Context(self.folder, scratch, self.device, {"data.root": self.files.root}, lambda line: None, counted)

    def finished(self, step: Callable[[], object]) -> Call:
        """`step`, and then wait for the device."""

        def call() -> None:
            step()
            if self.device == "cuda":
                torch.cuda.synchronize()

        return call


def terms_of(config: TrainingConfig) -> Mapping[str, TermConfig]:
    """The weighted terms of a task."""
    return distill.terms_of(config) if isinstance(config, distill.Config) else teacher.terms_of(config)
