"""`infer` on the command line, on the network of a tiny run."""

import json
from pathlib import Path

import torch
from PIL import Image

from tests.pipeline.conftest import Done, Pipeline


def test_a_split_becomes_pngs(pipeline: Pipeline, finished: tuple[Path, Done], tmp_path: Path) -> None:
    done = pipeline("infer", finished[0], "--split", "test", "--as", "color", "--out", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 4
    with Image.open(tmp_path / "00003.png") as picture:
        assert picture.size == (256, 128) and picture.mode == "P"


def test_mistakes_are_one_line(pipeline: Pipeline, finished: tuple[Path, Done]) -> None:
    for words, message in (
        (["--split", "test", "--as", "cityscapes"], "none of Cityscapes' 19 classes"),
        (["--split", "test", "--stage", "data"], "data holds no network"),
        ([], "give --split NAME or --images FOLDER"),
        *([(["--split", "test", "--device", "cuda"], "torch sees no GPU")] if not torch.cuda.is_available() else []),
    ):
        done = pipeline("infer", finished[0], *words)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
