"""A small student under whole methods: what is trained, what is looked at, and that a resumed run is the same run."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.stage import Context
from stages.loading.loader import Batch
from stages.losses import holistic
from stages.losses.methods import resolve
from stages.nets.catalogue import NetSpec
from stages.nets.discriminator import Discriminator
from stages.nets.position import PositionNet
from stages.training.config import TrainingConfig
from stages.training.device import start_fabric
from stages.training.record.gradient_share import GradientShare
from stages.training.student import Teacher, scheduled_weights, train_net

ITERATIONS = 6
CLASSES = 3
SPEC = NetSpec("small", CLASSES, {}, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Small(nn.Module):
    """One convolution to a quarter of the grid, and a classifier; batch norm and dropout so that state matters."""

    def __init__(self, width: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 4, 4), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Conv2d(width, CLASSES, 1)
        self.aux_head = None
        self.tap_channels = {"logits": CLASSES, "pyramid": width}

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        pyramid = self.stem(images_NCHW)
        return {"logits": self.head(pyramid), "pyramid": pyramid}


class Interrupted(Exception):
    """Stands for a kill in the middle of training."""


class Bar:
    def __init__(self, stop_at: int | None, done: int) -> None:
        self.stop_at, self.done = stop_at, done

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        self.done += 1
        if self.done == self.stop_at:
            raise Interrupted


@pytest.fixture(autouse=True)
def narrow_discriminator(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixteenth of the published width: what is tested here does not depend on it."""
    monkeypatch.setattr(holistic, "Discriminator", partial(Discriminator, width=4))


def batches(start: int) -> Iterator[Batch]:
    for iteration in range(start, ITERATIONS):
        generator = torch.Generator().manual_seed(iteration)
        images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, CLASSES, (2, 32, 32), dtype=torch.uint8, generator=generator)
        yield Batch(images, labels)


def teacher() -> Teacher:
    torch.manual_seed(7)
    return Teacher(Small(6).eval(), SPEC, PositionNet(6, hidden=3))


def trained(
    scratch: Path,
    method: str = "idd-published",
    changes: Mapping[str, Any] | None = None,
    stop_at: int | None = None,
    every: int = 0,
    of: Teacher | None = None,
    lines: list[str] | None = None,
    compile: bool = False,
    dropout: float = 0.2,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """State of the student after training, and the history."""

    @contextmanager
    def progress(title: str, total: int, done: int) -> Iterator[Bar]:
        yield Bar(stop_at, done)

    scratch.mkdir(exist_ok=True)
    log = lines.append if lines is not None else lambda line: None
    ctx = Context(scratch, scratch, "cpu", {}, log, progress)
    config = TrainingConfig(
        iterations=ITERATIONS,
        batch=2,
        crop_px=(32, 32),
        lr=0.05,
        precision="fp32",
        checkpoint_iterations=2,
        compile=compile,
    )
    of = of or teacher()
    fabric = start_fabric("fp32", "cpu", seed=0)
    net, terms = Small(4, dropout), resolve(method, changes or {})
    probe = GradientShare(every, ITERATIONS, ctx.log)
    history = train_net(fabric, net, SPEC, terms, batches, config, ctx, "student", of, probe=probe)
    return net.state_dict(), history


def timeless(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in history]


def test_resumed_equals_uninterrupted_with_a_discriminator(tmp_path: Path) -> None:
    whole, history = trained(tmp_path / "whole")
    with pytest.raises(Interrupted):
        trained(tmp_path / "parts", stop_at=5)
    state = torch.load(tmp_path / "parts" / "student.pt", weights_only=True)
    assert state["iteration"] == 4 and set(state["parts"]) == {"module", "adversary", "precision", "keeper"}
    assert state["parts"]["adversary"]["optimizer"]["state"], "the discriminator's momentum is kept"
    resumed, resumed_history = trained(tmp_path / "parts")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert timeless(resumed_history) == timeless(history)
    assert {"holistic", "holistic_critic"} <= set(history[-1])


def test_a_checkpoint_without_discriminator_is_refused_where_there_is_one(tmp_path: Path) -> None:
    trained(tmp_path, method="skd")
    with pytest.raises(TrainingError, match="cannot resume from"):
        trained(tmp_path, method="skd-published")


def test_the_discriminator_is_trained_at_its_own_learning_rate(tmp_path: Path) -> None:
    trained(tmp_path)
    state = torch.load(tmp_path / "student.pt", weights_only=True)["parts"]["adversary"]
    last = (1 - (ITERATIONS - 1) / ITERATIONS) ** 0.9
    assert [group["lr"] for group in state["optimizer"]["param_groups"]] == pytest.approx([4e-4 * last])


def test_looking_at_gradients_changes_nothing(tmp_path: Path) -> None:
    unseen, history = trained(tmp_path / "unseen")
    lines: list[str] = []
    seen, watched = trained(tmp_path / "seen", every=1, lines=lines)
    assert all(torch.equal(unseen[name], seen[name]) for name in unseen)
    assert [row["total"] for row in history] == [watched[0]["total"], watched[-1]["total"]]
    assert len(watched) == ITERATIONS == sum("gradient share at stem.0.weight" in line for line in lines)
    names = set(resolve("idd-published", {})) - {"auxiliary"}
    for row in watched:
        assert sum(row["gradient_share"].values()) == pytest.approx(1)
        assert set(row["gradient_share"]) == names
        assert set(row["term_seconds"]) == names | {"adversary"} and min(row["term_seconds"].values()) > 0


def test_a_weight_that_rises(tmp_path: Path) -> None:
    changes = {"pixel_wise": {"ramp": (0.0, 1.0)}, "supervised": {"weight": 0.5}}
    terms = resolve("skd", changes)
    assert [scheduled_weights(terms, p)["pixel_wise"] for p in (0.0, 0.5)] == [0.0, 0.5]
    assert scheduled_weights(terms, 0.5)["pair_wise"] == 0.5
    _, history = trained(tmp_path, method="skd", changes=changes, every=1)
    for row in history:
        weights = scheduled_weights(terms, row["iteration"] / ITERATIONS)
        expected = sum(weights[name] * row[name] for name in ("supervised", "pixel_wise", "pair_wise"))
        assert row["total"] == pytest.approx(expected, rel=1e-5)
    assert history[0]["gradient_share"]["pixel_wise"] == 0 < history[-1]["gradient_share"]["pixel_wise"]


def test_the_start_tells_every_term(tmp_path: Path) -> None:
    lines: list[str] = []
    trained(tmp_path, lines=lines)
    assert "term auxiliary: left out, the student has no auxiliary head" in lines
    assert any(line.startswith("term position: 1 x mean, tap pyramid, student through a 1x1 adapter") for line in lines)
    assert "teacher small: 1 batch norms folded into their convolutions" in lines
    assert lines[-1] == "student: sgd, momentum 0.9, lr 0.05, weight decay 0.0005, precision fp32"
    assert len(lines) == len(resolve("idd-published", {})) + 2


def test_a_term_that_breaks_is_named_and_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    class Breaking(Small):
        calls = 0

        def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
            maps = super().forward(images_NCHW)
            self.calls += 1
            # Three calls measure the maps and fold the batch norm; iteration 3 is the seventh.
            return maps | {"pyramid": maps["pyramid"] * float("nan")} if self.calls == 7 else maps

    breaking = Teacher(Breaking(6).eval(), SPEC, PositionNet(6, hidden=3))
    with pytest.raises(TrainingError, match="not finite at iteration 3: pair_wise, inter_class, position") as caught:
        trained(tmp_path, method="idd", of=breaking)
    assert "nothing that is not finite was kept" in str(caught.value)
    state = torch.load(tmp_path / "student.pt", weights_only=True)
    assert state["iteration"] == 2
    assert all(value.isfinite().all() for value in state["parts"]["module"]["module"].values())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_compiled_it_learns_what_it_learns_otherwise_and_is_resumed(tmp_path: Path) -> None:
    plain, _ = trained(tmp_path / "plain", "skd", every=3, dropout=0.0)
    whole, history = trained(tmp_path / "whole", "skd", every=3, dropout=0.0, compile=True)
    for name, value in plain.items():
        torch.testing.assert_close(whole[name], value, rtol=1e-3, atol=1e-5)
    assert "gradient_share" in history[0]
    with pytest.raises(Interrupted):
        trained(tmp_path / "parts", "skd", every=3, dropout=0.0, compile=True, stop_at=5)
    resumed, _ = trained(tmp_path / "parts", "skd", every=3, dropout=0.0, compile=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
