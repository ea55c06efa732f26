"""`data check` on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import cli

CLASSES = "id,name,r,g,b,ignore\n0,road,1,2,3,0\n7,sky,9,9,9,0\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training pairs, one to tune and one to test on, in the layout of the `folder` source."""
    rng = np.random.default_rng(0)
    for top in ("images", "labels"):
        (tmp_path / top).mkdir()
    for name in "abcd":
        Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(tmp_path / f"images/{name}.png")
        Image.fromarray(rng.choice(np.array([0, 7], np.uint8), (12, 16))).save(tmp_path / f"labels/{name}.png")
    (tmp_path / "classes.csv").write_text(CLASSES)
    for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        (tmp_path / f"{split}.txt").write_text("".join(f"images/{n}.png labels/{n}.png\n" for n in names))
    return tmp_path


def check(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int | None, str]:
    code = cli.main(["data", "check", *words], standalone_mode=False)
    return code, capsys.readouterr().out


def test_nothing_wrong_is_exit_code_0(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(capsys, str(root))
    assert not code and "no fault" in out


def test_faults_are_listed_with_their_files(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "labels/a.png").unlink()
    Image.fromarray(np.full((12, 16), 3, np.uint8)).save(root / "labels/b.png")
    code, out = check(capsys, str(root), "--json")
    assert code == 1
    faults = [(f["kind"], f["file"]) for f in json.loads(out)["findings"] if f["level"] == "fault"]
    assert faults == [("missing pair", "labels/a.png"), ("unknown id", "labels/b.png")]
    code, out = check(capsys, str(root))
    assert code == 1 and "2 faults (1 missing pair, 1 unknown id), 2 warnings (2 absent class)" in out


def test_warnings_can_be_left_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (root / "classes.csv").open("a") as file:
        file.write("9,unicorn,1,1,1,0\n")
    assert check(capsys, str(root))[0] == 1
    code, out = check(capsys, str(root), "--level", "fault", "--json")
    assert not code and json.loads(out)["findings"] == []


def test_no_torch_and_no_traceback(root: Path) -> None:
    script = f"import sys; from pipeline.cli import main; sys.argv[1:] = ['data', 'check', {str(root / 'x')!r}]; "
    script += "code = main(); sys.exit(10 if 'torch' in sys.modules else code)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: no folder") and done.stderr.count("\n") == 1
