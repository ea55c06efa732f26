"""Pictures that look alike are found; pictures of other things are not."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.datasets.index import Sample
from stages.datasets.near_duplicates import (
    BITS,
    DRAFT_SIZE,
    MOST_BITS,
    distances,
    image_bits,
    near_duplicates,
    nearest_pairs,
)


def sample(name: str, content: str) -> Sample:
    return Sample(name, None, content, None, 1, 1)


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


def test_distances_count_bits() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 2**63, (n, 4), dtype=np.uint64) for n in (3, 5))
    expected = [[sum((int(a) ^ int(b)).bit_count() for a, b in zip(x, y, strict=True)) for y in other] for x in one]
    assert distances(one, other).tolist() == expected


def test_a_slightly_changed_picture_is_near_and_another_is_not() -> None:
    original = picture(0)
    changed = Image.fromarray(np.clip(np.asarray(original).astype(int) + 9, 0, 255).astype(np.uint8)).resize((80, 60))
    bits = np.stack([image_bits(image) for image in (original, changed, picture(1))])
    between = distances(bits, bits)
    assert between[0, 1] <= 10 and between[0, 2] > 2 * MOST_BITS


def test_findings_name_both_files_and_splits() -> None:
    bits = [image_bits(picture(seed)) for seed in (0, 1, 0, 1, 2)]
    samples = {
        "train": [sample("a", "1"), sample("b", "2"), sample("c", "3")],
        "test": [sample("d", "4"), sample("e", "5")],
    }
    found = [(f.file, f.facts["near"], f.facts["near_split"], f.facts["bits"]) for f in near_duplicates(samples, bits)]
    assert found == [("a", "c", "train", 0), ("b", "d", "test", 0), ("c", "a", "train", 0), ("d", "b", "train", 0)]


def test_equal_bytes_in_two_splits_are_left_to_the_other_check() -> None:
    bits = [image_bits(picture(0))] * 2
    assert list(near_duplicates({"train": [sample("a", "1")], "test": [sample("b", "1")]}, bits)) == []


def test_few_pictures_have_no_pairs() -> None:
    assert list(near_duplicates({"train": []}, [])) == []
    assert list(near_duplicates({"train": [sample("a", "1")]}, [np.zeros(4, np.uint64)])) == []


def test_thousands_are_compared_in_seconds() -> None:
    count = 4000
    bits = np.random.default_rng(0).integers(0, 2**63, (count, BITS // 64), dtype=np.uint64)
    bits[-1] = bits[0]
    began = time.perf_counter()
    pairs = list(nearest_pairs(bits, np.zeros(count, int), np.arange(count)))
    assert pairs == [(0, count - 1, 0), (count - 1, 0, 0)]
    assert time.perf_counter() - began < 30


def test_camvid_val_is_one_clip(shared: Path) -> None:
    files = sorted((shared / "data/camvid/images/val").iterdir())
    others = sorted((shared / "data/camvid/images/train").glob("0006R0*"))[::10]
    samples = {"val": [sample(f.name, f.name) for f in files], "train": [sample(f.name, f.name) for f in others]}
    bits = []
    for file in (*files, *others):
        with Image.open(file) as image:
            image.draft("RGB", DRAFT_SIZE)
            bits.append(image_bits(image))
    found = {finding.file for finding in near_duplicates(samples, bits)}
    assert found == {file.name for file in files}


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_any_mode_has_a_hash(mode: str) -> None:
    assert image_bits(picture(0).convert(mode)).shape == (BITS // 64,)
