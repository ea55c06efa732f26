"""What the machine tells without anything being run or imported."""

from pathlib import Path

import pytest

from pipeline.facts import POWER_MODE_FILE, facts, power_mode


@pytest.mark.parametrize(
    ("told", "mode"),
    [("pmode:0002 fmode:quiet\n", 2), ("pmode:0000", 0), ("pmode:0010\n", 10), ("fmode:quiet\n", None), ("", None)],
)
def test_a_jetson_keeps_its_power_mode_in_a_file(tmp_path: Path, told: str, mode: int | None) -> None:
    path = tmp_path / POWER_MODE_FILE
    path.parent.mkdir(parents=True)
    path.write_text(told)
    assert power_mode(tmp_path) == mode


def test_other_machines_have_none(tmp_path: Path) -> None:
    assert power_mode(tmp_path) is None
    assert "power_mode" in facts()
