"""What TensorBoard reads back is the history; without the package a training does not start."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.errors import TrainingError
from stages.training.record import scalars
from tests.stages.training.loops import Interrupted, fitted, interrupted_at


def test_without_the_package_it_is_said_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scalars, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"pip install -e '.\[tensorboard\]'"):
        fitted(tmp_path, tensorboard=True)
    scalars.require_tensorboard(False)


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_the_history(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scratch = tmp_path / "distill" / "0123456789abcdef"
    scratch.parent.mkdir()
    with pytest.raises(Interrupted):
        fitted(scratch, interrupted_at(12), tensorboard=True)
    _, history = fitted(scratch, tensorboard=True)
    found = EventAccumulator(str(scratch / "tensorboard" / "distill-0123456789ab" / "fit")).Reload()
    for name in ("error", "lr", "total"):
        read = [(event.step, event.value) for event in found.Scalars(name)]
        assert read == [(row["iteration"], pytest.approx(row[name])) for row in history]
    assert "iteration" not in found.Tags()["scalars"]


def test_tables_within_a_row_are_flattened() -> None:
    row = {"iteration": 3, "gradient_at": "w", "share": {"kd": 0.5}, "norm_before_clip": None, "total": 1.0}
    assert dict(scalars.numbers(row)) == {"share/kd": 0.5, "total": 1.0}
