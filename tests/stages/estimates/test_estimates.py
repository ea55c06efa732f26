"""The parts of an estimate: what is counted by hand, and what is measured at a tiny size."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline import recipe as recipes
from pipeline.errors import DataError, NetworkError
from pipeline.estimate import Estimate, Machine
from pipeline.group.ranks import Group
from pipeline.rehearsals import Rehearsals
from pipeline.stage import StageConfig
from stages.datasets.config import DataConfig
from stages.estimates import data, position, training
from stages.estimates.memory import Held, watched
from stages.estimates.outline import Outline, outline
from stages.estimates.training import keeps, with_loader
from stages.training.config import TrainingConfig

TINY = (
    "data.size_px=[64, 96]",
    "data.train_images=6",
    "data.val_images=0",
    "data.test_images=3",
    "teacher.args={ width = 0.125 }",
    "teacher.crop_px=[64, 64]",
    "distill.student.args={ width = 0.125 }",
    "distill.crop_px=[64, 64]",
)


def machine(folder: Path, device: str = "cpu", cores: int = 2) -> Machine:
    return Machine(device, cores, {}, {}, Rehearsals(folder / "rehearsals.json", {}, lambda line: None), {})


def configs(*settings: str) -> Mapping[str, StageConfig]:
    return recipes.load("quickstart", (*TINY, *settings)).configs


def test_a_loader_shares_the_cores_of_a_cpu_and_none_of_a_gpu(tmp_path: Path) -> None:
    cpu, gpu = machine(tmp_path), machine(tmp_path, "cuda", cores=8)
    assert with_loader(1.0, 0.5, 0, cpu) == 1.5
    assert with_loader(1.0, 0.5, 1, cpu) == 1.25
    assert with_loader(1.0, 4.0, 1, cpu) == 4.0
    assert with_loader(1.0, 0.5, 4, gpu) == 1.0
    assert with_loader(0.1, 2.0, 4, gpu) == 0.5


def test_scoring_while_it_trains_counts() -> None:
    data = Outline((64, 96), {"train": 6, "val": 5, "test": 3}, frozenset({"val", "test"}), 8, png=True)
    config = TrainingConfig(iterations=1001)
    assert training.images_scored(config, data) == 5 + 3
    # After 500 and 1000 steps, and at the end.
    assert training.images_scored(config.model_copy(update={"validate_iterations": 500}), data) == 5 + 3 + 3 * 5


def test_a_checkpoint_holds_what_a_training_carries() -> None:
    def copies(**changes: Any) -> float:
        return training.checkpoint_bytes(TrainingConfig(**changes), 100) / 200

    assert copies() == 2 and copies(iterations=0) == 0
    assert copies(optimiser="adamw", ema=0.99, keep="best", validate_iterations=500) == 5


def test_several_processes_share_batch_and_cores(tmp_path: Path) -> None:
    group = Group(world=4, local_world=2, nodes=2)
    config, own = training.of_one_process(TrainingConfig(batch=8), machine(tmp_path, cores=8), group)
    assert (config.batch, own.cores) == (2, 4)


def test_a_split_is_kept_up_to_a_limit() -> None:
    config = configs()["teacher"]
    assert isinstance(config, training.TrainingConfig)
    small = Outline((64, 96), {"train": 6}, frozenset(), 8, png=True)
    assert keeps(config, small, 6) and not keeps(config, small, 10**6)
    assert not keeps(config.model_copy(update={"decoded": "none"}), small, 6)
    assert keeps(config.model_copy(update={"decoded": "disk"}), small, 10**6)


def test_maps_that_find_room_are_made_once() -> None:
    made, kept = position.maps_made(distinct=10, draws=10_000, map_bytes=4)
    assert made == pytest.approx(10) and kept == pytest.approx(40)
    # One draw of two maps: one is made.
    assert position.maps_made(distinct=2, draws=1, map_bytes=4) == (1.0, 4.0)
    # Room for half of them: half of the draws find nothing.
    made, kept = position.maps_made(distinct=4, draws=10_000, map_bytes=position.KEPT_BYTES // 2)
    assert made == pytest.approx(2 + 5_000) and kept == position.KEPT_BYTES
    assert position.maps_made(distinct=0, draws=10, map_bytes=4) == (0.0, 0.0)


def test_what_a_block_took_is_scaled_and_what_was_there_is_not() -> None:
    held = Held(100.0)
    held.peak_mib = 150.0
    assert held.scaled(4.0) == 300.0
    assert held.scaled(4.0, fixed_mib=30.0) == 100 + 30 + 4 * 20
    assert held.scaled(1.0, fixed_mib=70.0) == 170.0
    assert held.scaled(0.5) == 150.0


def test_memory_is_watched() -> None:
    with watched("cpu") as held:
        block = bytearray(b"x") * (64 << 20)
    assert held.peak_mib - held.before_mib > 32 and len(block) == 64 << 20


def test_the_outline_of_scenes_that_are_not_made_yet() -> None:
    config = configs()["data"]
    assert isinstance(config, DataConfig)
    found = outline(config, None)
    assert found == Outline((64, 96), {"train": 6, "test": 3}, frozenset({"train", "test"}), 8, png=True)


def test_the_outline_of_camvid(shared: Path) -> None:
    config = DataConfig(source="camvid", root=shared / "data/camvid", size_px=(360, 480))
    found = outline(config, None)
    assert (found.images, found.classes, found.png) == ({"train": 367, "val": 101, "test": 233}, 11, False)
    with pytest.raises(DataError, match=r"data\.root"):
        outline(DataConfig(source="camvid"), None)


def test_a_few_pairs_of_camvid_stand_for_all(shared: Path, tmp_path: Path) -> None:
    config = DataConfig(source="camvid", root=shared / "data/camvid", size_px=(360, 480))
    found = data.estimate(config, {}, machine(tmp_path))
    assert found.seconds and found.bytes == 701 * data.ROW_BYTES + data.PICTURES_BYTES


def test_code_of_the_users_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit\ndef net(classes): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    changed = configs("teacher.net=mine:net", "teacher.args={}")
    with pytest.raises(NetworkError, match="a dry run does not run"):
        training.estimate(changed["teacher"], changed, machine(tmp_path))


def test_steps_are_tried_at_the_least_once_and_remembered(tmp_path: Path) -> None:
    found = configs()
    one = training.estimate(found["distill"], found, machine(tmp_path))
    assert one.seconds and one.peak_mib and one.bytes
    assert one.scratch_bytes == 4 * (one.bytes - training.DOCUMENTS_BYTES), "weights and momentum, old and new"
    longer = configs("distill.iterations=100000")
    again = training.estimate(longer["distill"], longer, silent_only(tmp_path))
    assert again.seconds is not None and again.seconds > 10 * one.seconds


def test_read_outs_and_scenes_are_tried(tmp_path: Path) -> None:
    found = configs()
    readouts = position.estimate(found["position"], found, machine(tmp_path))
    assert readouts.seconds and readouts.peak_mib and readouts.bytes
    scenes = data.estimate(found["data"], found, machine(tmp_path))
    assert scenes.seconds and scenes.peak_mib and scenes.bytes
    more = configs("data.train_images=60000")
    many = data.estimate(more["data"], more, silent_only(tmp_path))
    assert isinstance(many, Estimate) and many.bytes is not None and many.bytes > 1000 * (scenes.bytes - 700_000)


def silent_only(folder: Path) -> Machine:
    """A machine that must not measure again."""

    def refuse(line: str) -> Any:
        raise AssertionError(line)

    return Machine("cpu", 2, {}, {}, Rehearsals(folder / "rehearsals.json", {}, refuse), {})
