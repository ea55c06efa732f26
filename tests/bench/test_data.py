"""The loader's benchmark, at a tiny size: what is compared is alike, and the report is complete."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import data
from stages.preprocess import PAD_RGB


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> data.Pictured:
    return data.synthetic(tmp_path_factory.mktemp("scenes"), 2, (32, 64))


def test_plain_crops_are_normalised_floats_with_their_labels(files: data.Pictured) -> None:
    images, labels = data.Plain(files, (24, 24)).batch(files.index.samples("train"))
    assert images.shape == (2, 3, 24, 24) and images.dtype == torch.float32
    assert labels.shape == (2, 24, 24) and labels.dtype == torch.int64
    assert set(labels.unique().tolist()) <= {*range(8), 255}


def test_plain_pads_small_pictures(files: data.Pictured) -> None:
    image, label = data.Plain(files, (200, 200)).crop(files.index.samples("train")[0])
    mean, std = (torch.tensor(values) for values in data.IMAGENET)
    corner = (image[:, -1, -1] * std + mean) * 255
    assert label[-1, -1] == 255 and np.allclose(corner, PAD_RGB, atol=0.1)


def test_private_memory_is_read() -> None:
    assert data.private_dirty_kib("Rss: 9 kB\nPrivate_Dirty:    1234 kB\n") == 1234


def test_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--scene-height", "32", "--scenes", "2", "--crop", "24", "--min-s", "0.2", "--max-s", "1"]
    assert data.main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (part,) = report["sets"]
    assert [row["name"] for row in part["rows"]] == ["plain", "ours", "cached"]
    assert all(row["images_per_s"] > 0 and row["batch_ms"]["n"] >= 1 for row in part["rows"])
    assert [(ratio["denominator"], ratio["floor"]) for ratio in part["ratios"]] == [("ours", 2.0), ("cached", 4.0)]
    assert report["environment"]["cpu"]["threads"] == 1
    assert "synthetic PNG" in data.table(report)


def test_camvid_files(shared: Path) -> None:
    files = data.camvid(shared / "data/camvid", 3)
    assert len(files.index.samples("train")) == 3 and files.index.size_px == (360, 480)


def test_an_absent_root_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["--root", "/nowhere"]) == 2
    assert "no folder /nowhere" in capsys.readouterr().err
