"""Large folders are listed quickly."""

import time
from pathlib import Path

from stages.datasets.listing import names_below, paths_of


def test_names_of_one_ending_below_a_folder(tmp_path: Path) -> None:
    for name in ("a/x.png", "a/b/y.png", "a/b/y.txt", "c/z.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(names_below(tmp_path, "a", (".png",))) == ["a/b/y.png", "a/x.png"]
    assert list(names_below(tmp_path, "absent", (".png",))) == []
    assert paths_of(tmp_path, ["a/x.png"]) == {"a/x.png": f"{tmp_path}/a/x.png"}


def test_time_is_linear(tmp_path: Path) -> None:
    count = 5000
    for n in range(count):
        (tmp_path / f"{n}.png").touch()
    (tmp_path / "top").mkdir()
    began = time.perf_counter()
    names = list(names_below(tmp_path.parent, tmp_path.name, (".png",)))
    assert len(names) == count and time.perf_counter() - began < 1
